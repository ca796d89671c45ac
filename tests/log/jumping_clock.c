// A wall clock that is set at every look: loaded before the C library, it moves CLOCK_REALTIME there
// and back by ever more hours, from before 1970 to far ahead. The monotonic clock stays what it is.

#define _GNU_SOURCE
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static atomic_long looks;

static long jump(void) {
  const long look = atomic_fetch_add(&looks, 1);
  const long hours = 100 * (look % 6000);
  const int is_back = (int)(look * 2654435761L >> 13 & 1);  // in no rhythm that a program may have
  return (is_back ? -hours : hours) * 3600;
}

EXPORTED int clock_gettime(clockid_t clock, struct timespec *now) {
  const int result = (int)syscall(SYS_clock_gettime, clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    now->tv_sec += jump();
  }
  return result;
}

EXPORTED int gettimeofday(struct timeval *now, void *zone) {
  struct timespec precise;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

EXPORTED time_t time(time_t *now) {
  struct timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  if (now != NULL) *now = precise.tv_sec;
  return precise.tv_sec;
}
