#include "held_object.hpp"

#include <mutex>
#include <utility>
#include <vector>

namespace pystream::python {

namespace {

bool interpreter_is_gone() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsInitialized() == 0 || Py_IsFinalizing() != 0;
#else
  return Py_IsInitialized() == 0 || _Py_IsFinalizing() != 0;
#endif
}

// Objects dropped without the interpreter lock.
class Dropped {
 public:
  void add(PyObject* object) {
    const std::lock_guard lock(mutex_);
    objects_.push_back(object);
    // Fails when Python's queue is full; then the next add() tries again.
    if (!is_scheduled_) is_scheduled_ = Py_AddPendingCall(&Dropped::on_main_thread, this) == 0;
  }

  // With the interpreter lock. Destructors of objects may run any code, so the mutex is not held.
  void release() {
    std::vector<PyObject*> objects;
    {
      const std::lock_guard lock(mutex_);
      std::swap(objects, objects_);
    }
    for (PyObject* object : objects) Py_DECREF(object);
  }

 private:
  static int on_main_thread(void* self) {
    auto* dropped = static_cast<Dropped*>(self);
    {
      const std::lock_guard lock(dropped->mutex_);
      dropped->is_scheduled_ = false;
    }
    dropped->release();
    return 0;
  }

  std::mutex mutex_;
  std::vector<PyObject*> objects_;
  bool is_scheduled_ = false;
};

// Never destroyed: threads of the core may drop objects while the process ends.
Dropped& dropped() {
  static auto* instance = new Dropped;
  return *instance;
}

void drop(const void* held) {
  if (interpreter_is_gone()) return;  // nothing could free it any more
  auto* object = static_cast<PyObject*>(const_cast<void*>(held));
  if (PyGILState_Check() != 0) {
    Py_DECREF(object);
  } else {
    dropped().add(object);
  }
}

}  // namespace

std::shared_ptr<const void> hold(const py::object& object) {
  dropped().release();
  return {object.inc_ref().ptr(), drop};
}

py::object object_of(const std::shared_ptr<const void>& held) {
  if (!held) return py::none();
  return py::reinterpret_borrow<py::object>(static_cast<PyObject*>(const_cast<void*>(held.get())));
}

}  // namespace pystream::python
