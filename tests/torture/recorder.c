// Loaded before the C library (LD_PRELOAD), writes every call that changes a file below one
// directory to a trace: in the order in which the calls took effect, with their data, whoever made
// them, SQLite included. Stores into shared mappings are no calls: each recorded call first writes
// what changed in the mappings since the one before.
//
//   TORTURE_ROOT    the directory, absolute; without it nothing is recorded
//   TORTURE_TRACE   the file that the trace is written to; without it calls are counted only
//   TORTURE_AT      number (from 1) of the recorded call at which something happens
//   TORTURE_ERROR   0: the process is killed at that call; else the errno that the call returns
//   TORTURE_UNTIL   that call up to this one return the errno (default: that call alone)
//   TORTURE_BOOT    what is read in place of the kernel's boot id: as if the machine was restarted
//
// A record: kind (1 byte), 3 zeros, path length (4), inode (8), position (8), data length (8), then
// path and data; integers little endian. tests/torture/trace.py reads it.
//
// One mutex is held over each recorded call, so that the trace has the order of the effects.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { kMaxFiles = 4096, kMaxMappings = 256, kSector = 512, kHighDescriptor = 3000 };
#define EXPORT __attribute__((visibility("default")))

enum Kind {
  kCreate = 'c',    // path
  kMake = 'd',      // a directory; path; the first record is the root, which was there
  kWrite = 'w',     // position, data
  kStore = 'm',     // as a write, through a mapping
  kAllocate = 'a',  // position; the length stands in the data, 8 bytes
  kTruncate = 't',  // position: the new size
  kSync = 's',      // of a file or a directory
  kRename = 'r',    // path: the old one, zero byte, the new one
  kUnlink = 'u',    // path
  kRemove = 'x',    // a directory; path
  kMark = 'k',      // data: what the program says
};

struct Header {
  uint8_t kind;
  uint8_t zeros[3];
  uint32_t path_length;
  uint64_t inode;
  int64_t position;
  uint64_t data_length;
};

struct Mapping {
  uint8_t* address;
  size_t length;
  uint64_t inode;
  int64_t position;
  uint8_t* copy;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static const char* boot_file;
static int trace = -1;
static uint64_t inodes[kMaxFiles];  // by descriptor; 0: not below the root
static struct Mapping mappings[kMaxMappings];
static int64_t call_number, first_call = -1, last_call = -1;
static int error_to_return;

static void die(const char* why) {
  syscall(SYS_write, 2, why, strlen(why));
  syscall(SYS_kill, getpid(), SIGABRT);
}

static void announce_root(void);

__attribute__((constructor)) static void start(void) {
  boot_file = getenv("TORTURE_BOOT");
  const char* directory = getenv("TORTURE_ROOT");
  if (directory == NULL) return;
  snprintf(root, sizeof(root), "%s", directory);
  root_length = strlen(root);
  const char* path = getenv("TORTURE_TRACE");
  if (path != NULL) {
    const int opened =
        (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    trace = (int)syscall(SYS_fcntl, opened, F_DUPFD_CLOEXEC, kHighDescriptor);
    syscall(SYS_close, opened);
    if (trace < 0) die("recorder: cannot open the trace\n");
  }
  announce_root();
  const char* at = getenv("TORTURE_AT");
  const char* until = getenv("TORTURE_UNTIL");
  const char* number = getenv("TORTURE_ERROR");
  if (at != NULL) first_call = last_call = atoll(at);
  if (until != NULL) last_call = atoll(until);
  if (number != NULL) error_to_return = atoi(number);
}

// --- the trace ---------------------------------------------------------------------------------

static void put(enum Kind kind, uint64_t inode, int64_t position, const char* path,
                size_t path_length, const struct iovec* data, int count) {
  if (trace < 0) return;
  struct Header header = {(uint8_t)kind, {0, 0, 0}, (uint32_t)path_length, inode, position, 0};
  struct iovec parts[IOV_MAX];
  int used = 2;
  if (count > IOV_MAX - used) die("recorder: a write of too many parts\n");
  parts[0] = (struct iovec){&header, sizeof(header)};
  parts[1] = (struct iovec){(void*)path, path_length};
  for (int i = 0; i < count; ++i) {
    header.data_length += data[i].iov_len;
    parts[used++] = data[i];
  }
  const size_t wanted = sizeof(header) + path_length + header.data_length;
  if (syscall(SYS_writev, trace, parts, used) != (long)wanted) die("recorder: cannot write\n");
}

static void put_bytes(enum Kind kind, uint64_t inode, int64_t position, const void* data,
                      size_t length) {
  const struct iovec part = {(void*)data, length};
  put(kind, inode, position, "", 0, &part, 1);
}

static void put_path(enum Kind kind, uint64_t inode, const char* path) {
  put(kind, inode, 0, path, strlen(path), NULL, 0);
}

// Reads a mapping without a signal where the file ends before it.
static size_t read_mapping(const struct Mapping* mapping, uint8_t* out) {
  size_t done = 0;
  while (done < mapping->length) {
    const size_t step = mapping->length - done < 4096 ? mapping->length - done : 4096;
    const struct iovec to = {out + done, step};
    const struct iovec from = {mapping->address + done, step};
    if (syscall(SYS_process_vm_readv, getpid(), &to, 1L, &from, 1L, 0L) != (long)step) break;
    done += step;
  }
  return done;
}

static void put_stores_of(struct Mapping* mapping, uint8_t* scratch) {
  const size_t length = read_mapping(mapping, scratch);
  for (size_t at = 0; at < length; at += kSector) {
    const size_t step = length - at < kSector ? length - at : kSector;
    if (memcmp(scratch + at, mapping->copy + at, step) == 0) continue;
    memcpy(mapping->copy + at, scratch + at, step);
    put_bytes(kStore, mapping->inode, mapping->position + (int64_t)at, scratch + at, step);
  }
}

static void put_stores(void) {
  static uint8_t scratch[1 << 20];
  if (trace < 0) return;
  for (int i = 0; i < kMaxMappings; ++i) {
    if (mappings[i].address != NULL) put_stores_of(&mappings[i], scratch);
  }
}

// At the beginning of every recorded call, under the mutex. True: the call fails with errno.
static int begin_call(void) {
  put_stores();
  ++call_number;
  if (call_number < first_call || call_number > last_call || first_call < 0) return 0;
  if (error_to_return == 0) syscall(SYS_kill, getpid(), SIGKILL);
  errno = error_to_return;
  return 1;
}

// --- which files -------------------------------------------------------------------------------

static int is_below_root(const char* path) {
  return root_length > 0 && strncmp(path, root, root_length) == 0 &&
         (path[root_length] == '/' || path[root_length] == 0);
}

// The absolute path; false when it is not below the root.
static int resolve(int directory, const char* path, char* out) {
  if (root_length == 0 || path == NULL) return 0;
  if (path[0] == '/') {
    snprintf(out, PATH_MAX, "%s", path);
  } else {
    char link[64], base[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", directory);
    const long length =
        syscall(SYS_readlinkat, AT_FDCWD, directory == AT_FDCWD ? "/proc/self/cwd" : link, base,
                sizeof(base) - 1);
    if (length < 0) return 0;
    base[length] = 0;
    if (snprintf(out, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return 0;
  }
  return is_below_root(out);
}

static uint64_t inode_of_path(const char* path) {
  struct stat status;
  return fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status.st_ino : 0;
}

static void announce_root(void) { put_path(kMake, inode_of_path(root), root); }

static uint64_t inode_of(int fd) { return fd >= 0 && fd < kMaxFiles ? inodes[fd] : 0; }

static int open_anywhere(int directory, const char* path, int flags, mode_t mode) {
  char full[PATH_MAX];
  if (boot_file != NULL && path != NULL && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) {
    path = boot_file;
  }
  if (!resolve(directory, path, full)) {
    return (int)syscall(SYS_openat, directory, path, flags, mode);
  }
  pthread_mutex_lock(&mutex);
  const uint64_t before = inode_of_path(full);
  const int is_recorded = (before == 0 && (flags & O_CREAT) != 0) || (flags & O_TRUNC) != 0;
  int fd = -1;
  if (!is_recorded || !begin_call()) fd = (int)syscall(SYS_openat, directory, path, flags, mode);
  if (fd >= kMaxFiles) die("recorder: too many files\n");
  if (fd >= 0) {
    inodes[fd] = inode_of_path(full);
    if (before == 0) put_path(kCreate, inodes[fd], full);
    if (before != 0 && (flags & O_TRUNC) != 0) put(kTruncate, inodes[fd], 0, "", 0, NULL, 0);
  }
  pthread_mutex_unlock(&mutex);
  return fd;
}

static mode_t mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? (mode_t)va_arg(arguments, int) : 0;
}

#define OPEN(name)                                     \
  EXPORT int name(const char* path, int flags, ...) {  \
    va_list arguments;                                 \
    va_start(arguments, flags);                        \
    const mode_t mode = mode_of(flags, arguments);     \
    va_end(arguments);                                 \
    return open_anywhere(AT_FDCWD, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                 \
  EXPORT int name(int directory, const char* path, int flags, ...) { \
    va_list arguments;                                               \
    va_start(arguments, flags);                                      \
    const mode_t mode = mode_of(flags, arguments);                   \
    va_end(arguments);                                               \
    return open_anywhere(directory, path, flags, mode);              \
  }
OPENAT(openat)
OPENAT(openat64)

EXPORT int __open_2(const char* path, int flags) { return open_anywhere(AT_FDCWD, path, flags, 0); }
EXPORT int __open64_2(const char* path, int flags) {
  return open_anywhere(AT_FDCWD, path, flags, 0);
}
EXPORT int __openat_2(int directory, const char* path, int flags) {
  return open_anywhere(directory, path, flags, 0);
}
EXPORT int __openat64_2(int directory, const char* path, int flags) {
  return open_anywhere(directory, path, flags, 0);
}
EXPORT int creat(const char* path, mode_t mode) {
  return open_anywhere(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}
EXPORT int creat64(const char* path, mode_t mode) { return creat(path, mode); }

EXPORT int close(int fd) {
  if (fd >= 0 && fd == trace) return 0;  // closers of all descriptors do not stop the trace
  if (inode_of(fd) == 0) return (int)syscall(SYS_close, fd);
  pthread_mutex_lock(&mutex);
  inodes[fd] = 0;
  const int result = (int)syscall(SYS_close, fd);
  pthread_mutex_unlock(&mutex);
  return result;
}

// --- data --------------------------------------------------------------------------------------

static void put_written(int fd, const struct iovec* parts, int count, int64_t position,
                        int64_t written) {
  if (trace < 0 || written <= 0) return;
  struct iovec done[IOV_MAX];
  int used = 0;
  for (int i = 0; i < count && written > 0; ++i) {
    done[used] = parts[i];
    if ((int64_t)done[used].iov_len > written) done[used].iov_len = (size_t)written;
    written -= (int64_t)done[used++].iov_len;
  }
  put(kWrite, inodes[fd], position, "", 0, done, used);
}

static ssize_t write_at(int fd, const struct iovec* parts, int count, int64_t position) {
  pthread_mutex_lock(&mutex);
  ssize_t result = -1;
  if (!begin_call()) result = syscall(SYS_pwritev, fd, parts, count, position, 0L);
  put_written(fd, parts, count, position, result);
  pthread_mutex_unlock(&mutex);
  return result;
}

EXPORT ssize_t write(int fd, const void* bytes, size_t length) {
  if (inode_of(fd) == 0) return syscall(SYS_write, fd, bytes, length);
  const struct iovec part = {(void*)bytes, length};
  pthread_mutex_lock(&mutex);
  const int64_t position = syscall(SYS_lseek, fd, 0L, SEEK_CUR);
  ssize_t result = -1;
  if (!begin_call()) result = syscall(SYS_write, fd, bytes, length);
  put_written(fd, &part, 1, position, result);
  pthread_mutex_unlock(&mutex);
  return result;
}

EXPORT ssize_t pwrite64(int fd, const void* bytes, size_t length, off64_t position) {
  if (inode_of(fd) == 0) return syscall(SYS_pwrite64, fd, bytes, length, position);
  const struct iovec part = {(void*)bytes, length};
  return write_at(fd, &part, 1, position);
}
EXPORT ssize_t pwrite(int fd, const void* bytes, size_t length, off_t position) {
  return pwrite64(fd, bytes, length, position);
}

EXPORT ssize_t pwritev64(int fd, const struct iovec* parts, int count, off64_t position) {
  if (inode_of(fd) == 0) return syscall(SYS_pwritev, fd, parts, count, position, 0L);
  return write_at(fd, parts, count, position);
}
EXPORT ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t position) {
  return pwritev64(fd, parts, count, position);
}

EXPORT int ftruncate64(int fd, off64_t length) {
  if (inode_of(fd) == 0) return (int)syscall(SYS_ftruncate, fd, length);
  pthread_mutex_lock(&mutex);
  int result = -1;
  if (!begin_call()) result = (int)syscall(SYS_ftruncate, fd, length);
  if (result == 0) put(kTruncate, inodes[fd], length, "", 0, NULL, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}
EXPORT int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

EXPORT int fallocate64(int fd, int mode, off64_t position, off64_t length) {
  if (inode_of(fd) == 0) return (int)syscall(SYS_fallocate, fd, mode, position, length);
  pthread_mutex_lock(&mutex);
  if (mode != 0) die("recorder: fallocate with a mode is not known\n");
  int result = -1;
  if (!begin_call()) result = (int)syscall(SYS_fallocate, fd, mode, position, length);
  if (result == 0) put_bytes(kAllocate, inodes[fd], position, &length, sizeof(length));
  pthread_mutex_unlock(&mutex);
  return result;
}
EXPORT int fallocate(int fd, int mode, off_t position, off_t length) {
  return fallocate64(fd, mode, position, length);
}
EXPORT int posix_fallocate64(int fd, off64_t position, off64_t length) {
  return fallocate64(fd, 0, position, length) == 0 ? 0 : errno;
}
EXPORT int posix_fallocate(int fd, off_t position, off_t length) {
  return posix_fallocate64(fd, position, length);
}

static int sync_file(int fd, long call) {
  if (inode_of(fd) == 0) return (int)syscall(call, fd);
  pthread_mutex_lock(&mutex);
  int result = -1;
  if (!begin_call()) result = (int)syscall(call, fd);
  if (result == 0) put(kSync, inodes[fd], 0, "", 0, NULL, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}
EXPORT int fsync(int fd) { return sync_file(fd, SYS_fsync); }
EXPORT int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

EXPORT void* mmap64(void* hint, size_t length, int protection, int flags, int fd,
                    off64_t position) {
  const uint64_t inode = inode_of(fd);
  const int is_seen = inode != 0 && (flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0;
  if (is_seen) pthread_mutex_lock(&mutex);
  void* address = (void*)syscall(SYS_mmap, hint, length, protection, flags, fd, position);
  if (!is_seen) return address;
  if (address != MAP_FAILED && trace >= 0) {
    int i = 0;
    while (i < kMaxMappings && mappings[i].address != NULL) ++i;
    if (i == kMaxMappings || length > 1 << 20) die("recorder: too many or too large mappings\n");
    struct Mapping* mapping = &mappings[i];
    *mapping = (struct Mapping){address, length, inode, position, calloc(1, length)};
    read_mapping(mapping, mapping->copy);
  }
  pthread_mutex_unlock(&mutex);
  return address;
}
EXPORT void* mmap(void* hint, size_t length, int protection, int flags, int fd, off_t position) {
  return mmap64(hint, length, protection, flags, fd, position);
}

EXPORT int munmap(void* address, size_t length) {
  if (trace < 0) return (int)syscall(SYS_munmap, address, length);
  pthread_mutex_lock(&mutex);
  put_stores();
  for (int i = 0; i < kMaxMappings; ++i) {
    if (mappings[i].address != address) continue;
    free(mappings[i].copy);
    mappings[i].address = NULL;
  }
  const int result = (int)syscall(SYS_munmap, address, length);
  pthread_mutex_unlock(&mutex);
  return result;
}

// --- names -------------------------------------------------------------------------------------

static int make_directory(int directory, const char* path, mode_t mode) {
  char full[PATH_MAX];
  if (!resolve(directory, path, full)) {
    return (int)syscall(SYS_mkdirat, directory, path, mode);
  }
  pthread_mutex_lock(&mutex);
  int result = -1;
  if (!begin_call()) result = (int)syscall(SYS_mkdirat, directory, path, mode);
  if (result == 0) put_path(kMake, inode_of_path(full), full);
  pthread_mutex_unlock(&mutex);
  return result;
}
EXPORT int mkdir(const char* path, mode_t mode) { return make_directory(AT_FDCWD, path, mode); }
EXPORT int mkdirat(int directory, const char* path, mode_t mode) {
  return make_directory(directory, path, mode);
}

static int remove_name(int directory, const char* path, int flags) {
  char full[PATH_MAX];
  if (!resolve(directory, path, full)) {
    return (int)syscall(SYS_unlinkat, directory, path, flags);
  }
  pthread_mutex_lock(&mutex);
  const uint64_t inode = inode_of_path(full);
  int result = -1;
  if (!begin_call()) result = (int)syscall(SYS_unlinkat, directory, path, flags);
  if (result == 0) put_path((flags & AT_REMOVEDIR) != 0 ? kRemove : kUnlink, inode, full);
  pthread_mutex_unlock(&mutex);
  return result;
}
EXPORT int unlink(const char* path) { return remove_name(AT_FDCWD, path, 0); }
EXPORT int rmdir(const char* path) { return remove_name(AT_FDCWD, path, AT_REMOVEDIR); }
EXPORT int unlinkat(int directory, const char* path, int flags) {
  return remove_name(directory, path, flags);
}

static int change_name(int from_directory, const char* from, int to_directory, const char* to) {
  char old_path[PATH_MAX], new_path[PATH_MAX];
  const int is_seen =
      resolve(from_directory, from, old_path) && resolve(to_directory, to, new_path);
  if (is_seen) pthread_mutex_lock(&mutex);
  int result = -1;
  if (!is_seen || !begin_call()) {
    result = (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, 0L);
  }
  if (!is_seen) return result;
  if (result == 0) {
    char both[2 * PATH_MAX];
    const size_t first = strlen(old_path) + 1;
    memcpy(both, old_path, first);
    memcpy(both + first, new_path, strlen(new_path));
    put(kRename, inode_of_path(new_path), 0, both, first + strlen(new_path), NULL, 0);
  }
  pthread_mutex_unlock(&mutex);
  return result;
}
EXPORT int rename(const char* from, const char* to) {
  return change_name(AT_FDCWD, from, AT_FDCWD, to);
}
EXPORT int renameat(int from_directory, const char* from, int to_directory, const char* to) {
  return change_name(from_directory, from, to_directory, to);
}

// --- the program's own -------------------------------------------------------------------------

EXPORT void torture_mark(const char* text, size_t length) {
  pthread_mutex_lock(&mutex);
  put_stores();
  put_bytes(kMark, 0, 0, text, length);
  pthread_mutex_unlock(&mutex);
}

// Counts the recorded calls anew, and lets the ones from `first` to `last` fail with `error`, or
// kills the process at `first` if that is 0. For a process forked from one that had all loaded.
EXPORT void torture_arm(int64_t first, int64_t last, int error) {
  pthread_mutex_lock(&mutex);
  call_number = 0;
  first_call = first;
  last_call = last;
  error_to_return = error;
  pthread_mutex_unlock(&mutex);
}

// How many calls were recorded so far.
EXPORT int64_t torture_calls(void) { return call_number; }
