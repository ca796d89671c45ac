// Opening: directories that are not logs, other formats, read-only use, and who may not.

#include <fstream>

#include "log_testing.hpp"
#include "storage/file.hpp"

namespace pystream::storage {
namespace {

class LogOpenTest : public ::testing::Test {
 protected:
  void write_file(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
  }
  void poke(const std::string& path, int64_t position, const std::string& bytes) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(position);
    file << bytes;
  }
  TemporaryDirectory directory_;
};

TEST_F(LogOpenTest, ADirectoryThatDoesNotExistIsAStorageError) {
  expect_error(ErrorCode::kStorage, "No such file", [&] { Log::open(directory_ / "missing"); });
}

TEST_F(LogOpenTest, ADirectoryOfOtherFilesIsNotALog) {
  write_file("holiday.jpg", "x");
  expect_error(ErrorCode::kLog, "holds \"holiday.jpg\"", [&] { Log::open(directory_.path()); });
  EXPECT_FALSE(std::filesystem::exists(directory_ / "order"));
}

TEST_F(LogOpenTest, ADirectoryWithTheCatalogAloneBecomesALog) {
  write_file("catalog.db", "x");
  write_file("catalog.db-wal", "x");
  EXPECT_NO_THROW(Log::open(directory_.path()));
}

TEST_F(LogOpenTest, AForeignOrderFileIsNotALog) {
  write_file("order", std::string(4096, 'x'));
  expect_error(ErrorCode::kLog, "not written by pystream", [&] { Log::open(directory_.path()); });
}

TEST_F(LogOpenTest, AShortForeignOrderFileIsNotALog) {
  write_file("order", "two coffees");
  expect_error(ErrorCode::kLog, "not written by pystream", [&] { Log::open(directory_.path()); });
}

TEST_F(LogOpenTest, AnOrderFileCutShortByACrashIsMadeAgain) {
  write_file("order", "PS");
  EXPECT_NO_THROW(Log::open(directory_.path()));
}

TEST_F(LogOpenTest, ADamagedOrderFileSaysHowToGoOn) {
  Log::open(directory_.path());
  poke(directory_ / "order", 20, "xxxxxxxx");  // within the random log id
  expect_error(ErrorCode::kLog, "is damaged", [&] { Log::open(directory_.path()); });
  std::filesystem::remove(directory_ / "order");
  EXPECT_NO_THROW(Log::open(directory_.path()));
}

TEST_F(LogOpenTest, WithoutPermissionItIsAStorageError) {
  Log::open(directory_.path());
  LogOptions options;
  const auto files = std::make_shared<FakeFiles>();
  files->fail = [](const std::string& call, int) { return call == "open" ? EACCES : 0; };
  options.files = files;
  expect_error(ErrorCode::kStorage, "Permission denied",
               [&] { Log::open(directory_.path(), options); });
}

TEST_F(LogOpenTest, AReadOnlyLogReadsAndNoMore) {
  LogOptions read_only;
  read_only.read_only = true;
  expect_error(ErrorCode::kLog, "holds no log yet",
               [&] { Log::open(directory_.path(), read_only); });
  const auto log = Log::open(directory_.path());
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 5);
  std::filesystem::permissions(
      directory_.path(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  const auto view = Log::open(directory_.path(), read_only);
  const auto read = view->open_partition(test_options());
  EXPECT_EQ(read_values(*read), iota(0, 5));
  append_values(*partition, 5, 5);
  EXPECT_TRUE(read->wait(5, 1'000'000));
  EXPECT_FALSE(read->wait(10, 2'000));
  EXPECT_EQ(read_values(*read), iota(0, 10));
  expect_error(ErrorCode::kLog, "opened read-only", [&] { append_values(*read, 10); });
  EXPECT_EQ(view->open_partition(test_options(3))->ends().log_end_offset, 0);
  const std::vector<std::shared_ptr<Partition>> partitions{read};
  EXPECT_EQ(view->frontier(partitions).frontier, 3u);
}

TEST_F(LogOpenTest, ANetworkFileSystemIsRefusedByName) {
  for (const auto& [type, name] :
       {std::pair<int64_t, std::string>{0x6969, "NFS"}, {0xFF534D42, "CIFS"}, {0x01021997, "9p"}}) {
    LogOptions options;
    const auto files = std::make_shared<FakeFiles>();
    files->filesystem = type;
    options.files = files;
    expect_error(ErrorCode::kLog, "is on " + name, [&] { Log::open(directory_.path(), options); });
    EXPECT_FALSE(std::filesystem::exists(directory_ / "order"));
  }
}

TEST_F(LogOpenTest, ANetworkFileSystemInUserSpaceIsKnownByItsMount) {
  for (const std::string& name : {"fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "virtiofs"}) {
    LogOptions options;
    const auto files = std::make_shared<FakeFiles>();
    files->filesystem = 0x65735546;
    files->mounted_as = name;
    options.files = files;
    expect_error(ErrorCode::kLog, "is on " + name, [&] { Log::open(directory_.path(), options); });
    files->mounted_as = "fuse.gocryptfs";  // over a directory of this machine
    const TemporaryDirectory local;
    EXPECT_NO_THROW(Log::open(local.path(), options));
  }
}

TEST_F(LogOpenTest, TheMountOfADirectoryIsNamed) {
  FileLayer files;
  EXPECT_EQ(files.filesystem_name("/proc/self"), "proc");
  EXPECT_EQ(files.filesystem_name(directory_ / "is not there"), "");
}

TEST_F(LogOpenTest, ALogThatIsBeingRepairedIsNotOpened) {
  Log::open(directory_.path());
  const auto files = std::make_shared<FileLayer>();
  const File order = File::open(files, directory_ / "order", O_RDWR);
  ASSERT_EQ(files->lock_use(order.fd(), UseMode::kExclusive), 0);
  expect_error(ErrorCode::kLog, "is being repaired", [&] { Log::open(directory_.path()); });
}

TEST_F(LogOpenTest, AnOpenLogIsNotRepaired) {
  const auto files = std::make_shared<FileLayer>();
  auto log = Log::open(directory_.path());
  const File order = File::open(files, directory_ / "order", O_RDWR);
  EXPECT_EQ(files->lock_use(order.fd(), UseMode::kExclusive), -EAGAIN);
  log->close();  // although the object lives on
  EXPECT_EQ(files->lock_use(order.fd(), UseMode::kExclusive), 0);
}

TEST_F(LogOpenTest, APartitionOfAnotherTopicInThePlaceIsRefused) {
  {
    const auto log = Log::open(directory_.path());
    append_values(*log->open_partition(test_options(0)), 0);
    append_values(*log->open_partition(test_options(1)), 0);
  }
  std::filesystem::remove_all(partition_directory(directory_.path(), 1));
  std::filesystem::rename(partition_directory(directory_.path(), 0),
                          partition_directory(directory_.path(), 1));
  const auto log = Log::open(directory_.path());
  expect_error(ErrorCode::kLog, "holds another partition than orders-1",
               [&] { log->open_partition(test_options(1)); });
}

// After a power loss, a page that was never synced may hold what another one left on the disk.
TEST_F(LogOpenTest, AStalePageOfAnotherPartitionIsNoneBeforeTheFirstSegment) {
  {
    const auto log = Log::open(directory_.path());
    append_values(*log->open_partition(test_options(0)), 0);
    log->open_partition(test_options(1));
  }
  const std::string page = "/control";
  std::filesystem::copy_file(partition_directory(directory_.path(), 0) + page,
                             partition_directory(directory_.path(), 1) + page,
                             std::filesystem::copy_options::overwrite_existing);
  {
    LogOptions read_only;
    read_only.read_only = true;
    const auto view = Log::open(directory_.path(), read_only);
    const auto partition = view->open_partition(test_options(1));
    EXPECT_TRUE(read_values(*partition, partition->ends().log_start_offset).empty());
  }
  const auto log = Log::open(directory_.path());
  const auto partition = log->open_partition(test_options(1));
  EXPECT_TRUE(read_values(*partition, partition->ends().log_start_offset).empty());
  append_values(*partition, 7);
  EXPECT_EQ(read_values(*partition, partition->ends().log_end_offset - 1), iota(7, 1));
  EXPECT_EQ(read_values(*log->open_partition(test_options(0))), iota(0, 1));
}

TEST_F(LogOpenTest, ManyOpenAtOnce) {
  std::vector<std::thread> threads;
  std::vector<std::shared_ptr<Log>> logs(8);
  std::vector<std::shared_ptr<Partition>> partitions(8);
  for (size_t i = 0; i < logs.size(); ++i) {
    threads.emplace_back([&, i] {
      logs[i] = Log::open(directory_.path());
      partitions[i] = logs[i]->open_partition(test_options());
      append_values(*partitions[i], static_cast<int64_t>(i));
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& partition : partitions) {
    std::vector<int64_t> values = read_values(*partition);
    std::sort(values.begin(), values.end());
    EXPECT_EQ(values, iota(0, 8));
  }
}

}  // namespace
}  // namespace pystream::storage
