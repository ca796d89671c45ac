// PartitionReader, Fetcher, SkippedRange. The contract is _core.pyi.

#include "reader_handle.hpp"

#include <utility>
#include <vector>

#include "bindings.hpp"
#include "storage/fetcher.hpp"

namespace pystream::python {

using Unlocked = py::call_guard<py::gil_scoped_release>;

namespace {

// Keeps the handles of its readers alive.
struct FetcherHandle {
  std::vector<py::object> readers;
  storage::Fetcher fetcher;
};

FetcherHandle make_fetcher(std::vector<py::object> readers) {
  std::vector<storage::PartitionReader*> native;
  native.reserve(readers.size());
  for (const py::object& reader : readers) {
    native.push_back(reader.cast<ReaderHandle&>().reader.get());
  }
  return {std::move(readers), storage::Fetcher(std::move(native))};
}

// What a consumer needs of a batch, as it is read by _batches.pyx.
struct FetchedNumbers {
  int64_t reader;
  int64_t base_offset;
  int64_t next_offset;
  int64_t record_count;
};

py::tuple fetch(FetcherHandle& self, size_t max_batches) {
  std::vector<storage::Fetcher::Fetched> fetched;
  {
    const py::gil_scoped_release release;
    fetched = self.fetcher.fetch(max_batches);
  }
  py::list batches(fetched.size());
  py::list schemas(fetched.size());
  std::vector<FetchedNumbers> numbers;
  numbers.reserve(fetched.size());
  for (size_t i = 0; i < fetched.size(); ++i) {
    storage::LogBatch& batch = fetched[i].batch;
    numbers.push_back({static_cast<int64_t>(fetched[i].reader), batch.base_offset(),
                       batch.next_offset(), batch.record_count()});
    schemas[i] = to_handle(batch.schema());
    batches[i] = std::move(batch);
  }
  const py::bytes bytes(reinterpret_cast<const char*>(numbers.data()),
                        numbers.size() * sizeof(FetchedNumbers));
  return py::make_tuple(std::move(batches), std::move(schemas), bytes);
}

}  // namespace

void bind_reader(py::module_& module) {
  py::class_<storage::SkippedRange>(module, "SkippedRange")
      .def_readonly("offset", &storage::SkippedRange::offset)
      .def_readonly("next_offset", &storage::SkippedRange::next_offset)
      .def_readonly("position", &storage::SkippedRange::position)
      .def_readonly("path", &storage::SkippedRange::path);
  py::class_<storage::Undecided>(module, "Undecided")
      .def_readonly("transaction_id", &storage::Undecided::transaction_id)
      .def_readonly("offset", &storage::Undecided::offset)
      .def_readonly("end_offset", &storage::Undecided::end_offset);
  py::class_<ReaderHandle>(module, "PartitionReader")
      .def(
          "next", [](ReaderHandle& self) { return self.reader->next(); }, Unlocked())
      .def(
          "seek", [](ReaderHandle& self, int64_t offset) { self.reader->seek(offset); },
          py::arg("offset"), Unlocked())
      .def_property_readonly("undecided",
                             [](const ReaderHandle& self) { return self.reader->undecided(); })
      .def("take_skipped", [](ReaderHandle& self) { return self.reader->take_skipped(); })
      .def_property_readonly("position",
                             [](const ReaderHandle& self) { return self.reader->position(); })
      .def_property_readonly("partition", [](const ReaderHandle& self) { return self.partition; });
  py::class_<FetcherHandle>(module, "Fetcher")
      .def(py::init(&make_fetcher), py::arg("readers"))
      .def("fetch", &fetch, py::arg("max_batches"));
}

}  // namespace pystream::python
