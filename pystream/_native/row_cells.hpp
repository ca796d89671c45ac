#pragma once
// The cells of one row while it is converted, with the Python objects that their data lies in.

#include <Python.h>

#include <cstring>
#include <memory>

#include "columns/row_builder.hpp"

namespace pystream::python {

// Lives on the stack of one call, under the interpreter lock. Rows of usual width cost no
// allocation, and only the cells in use are touched.
class RowCells {
 public:
  RowCells() = default;
  RowCells(const RowCells&) = delete;
  RowCells& operator=(const RowCells&) = delete;
  ~RowCells() { release(); }

  // Forgets the row before; `count` cells are zero then, which is a valid value of every type.
  void prepare(int count) {
    release();
    count_ = count;
    const auto size = static_cast<size_t>(count);
    if (count > kInPlace && !heap_cells_) {
      heap_cells_ = std::make_unique<Cell[]>(size);
      heap_owners_ = std::make_unique<PyObject*[]>(size);
    }
    std::memset(static_cast<void*>(cells()), 0, size * sizeof(Cell));
    std::memset(owners(), 0, size * sizeof(PyObject*));
  }

  Cell* cells() { return heap_cells_ ? heap_cells_.get() : reinterpret_cast<Cell*>(in_place_); }

  // Keeps `object` alive until the row is done.
  void keep(int index, PyObject* object) {
    Py_INCREF(object);
    owners()[index] = object;
  }

 private:
  static constexpr int kInPlace = 18;

  PyObject** owners() { return heap_owners_ ? heap_owners_.get() : owners_in_place_; }

  void release() {
    PyObject** kept = owners();
    for (int i = 0; i < count_; ++i) Py_XDECREF(kept[i]);
    count_ = 0;
  }

  int count_ = 0;  // the same for every row
  // Not initialized: prepare() does that for the cells in use.
  alignas(Cell) unsigned char in_place_[kInPlace * sizeof(Cell)];
  PyObject* owners_in_place_[kInPlace];
  std::unique_ptr<Cell[]> heap_cells_;
  std::unique_ptr<PyObject*[]> heap_owners_;
};

}  // namespace pystream::python
