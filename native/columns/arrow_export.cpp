// Ownership: every exported struct has private data of its own that holds what its pointers refer
// to, so that a consumer may move any child out and release the parent first.

#include <cerrno>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "columns/arrow_c.hpp"
#include "columns/arrow_format.hpp"

namespace pystream {

namespace {

constexpr int64_t kFlagNullable = 2;

// Stands for buffers without bytes: some consumers refuse null pointers there.
alignas(64) constexpr uint8_t kNoBytes[64] = {};

// The structs below a parent: its children and perhaps a dictionary. Releases those that the
// consumer has not moved out.
template <typename Struct>
class Below {
 public:
  explicit Below(size_t children) : structs_(children) {
    for (Struct& child : structs_) pointers_.push_back(&child);
  }
  Below(const Below&) = delete;
  ~Below() {
    for (Struct& child : structs_) {
      if (child.release != nullptr) child.release(&child);
    }
    if (dictionary_.release != nullptr) dictionary_.release(&dictionary_);
  }

  Struct* child(size_t i) { return pointers_[i]; }
  Struct* dictionary() { return &dictionary_; }
  void attach_to(Struct* parent) {
    parent->n_children = static_cast<int64_t>(pointers_.size());
    parent->children = pointers_.data();
    parent->dictionary = dictionary_.release != nullptr ? &dictionary_ : nullptr;
  }

 private:
  std::vector<Struct> structs_;
  std::vector<Struct*> pointers_;
  Struct dictionary_{};
};

template <typename Struct, typename Private>
void release_exported(Struct* exported) {
  delete static_cast<Private*>(exported->private_data);
  exported->release = nullptr;
}

struct SchemaPrivate {
  explicit SchemaPrivate(size_t children) : below(children) {}
  std::string format;
  std::string name;
  Below<ArrowSchema> below;
};

struct ArrayPrivate {
  explicit ArrayPrivate(size_t children) : below(children) {}
  Array array;  // keeps the buffers alive; empty for a struct
  const void* buffers[3] = {nullptr, nullptr, nullptr};
  Below<ArrowArray> below;
};

// Fills `out` and hands `owned` over to it.
void finish_schema(std::unique_ptr<SchemaPrivate> owned, int64_t flags, ArrowSchema* out) {
  *out = ArrowSchema{};
  out->format = owned->format.c_str();
  out->name = owned->name.c_str();
  out->flags = flags;
  owned->below.attach_to(out);
  out->release = release_exported<ArrowSchema, SchemaPrivate>;
  out->private_data = owned.release();
}

void finish_array(std::unique_ptr<ArrayPrivate> owned, int64_t length, int64_t null_count,
                  int64_t buffer_count, ArrowArray* out) {
  *out = ArrowArray{};
  out->length = length;
  out->null_count = null_count;
  out->n_buffers = buffer_count;
  out->buffers = owned->buffers;
  owned->below.attach_to(out);
  out->release = release_exported<ArrowArray, ArrayPrivate>;
  out->private_data = owned.release();
}

const void* bytes_of(const Buffer& buffer) { return buffer.data ? buffer.data : kNoBytes; }

struct StreamPrivate {
  SchemaPtr schema;
  std::function<bool(RecordBatch*)> next;
  std::string last_error;
};

StreamPrivate* stream_private(ArrowArrayStream* stream) {
  return static_cast<StreamPrivate*>(stream->private_data);
}

// Runs `step`; a thrown error becomes the stream's last error. No exception may cross a C callback.
template <typename Step>
int guarded(ArrowArrayStream* stream, Step step) {
  try {
    step(stream_private(stream));
    return 0;
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  } catch (const std::exception& error) {
    stream_private(stream)->last_error = error.what();
    return EIO;
  }
}

int stream_get_schema(ArrowArrayStream* stream, ArrowSchema* out) {
  return guarded(stream, [&](StreamPrivate* self) { export_schema(*self->schema, out); });
}

int stream_get_next(ArrowArrayStream* stream, ArrowArray* out) {
  return guarded(stream, [&](StreamPrivate* self) {
    RecordBatch batch;
    if (self->next(&batch)) {
      export_array(batch, out);
    } else {
      *out = ArrowArray{};
    }
  });
}

const char* stream_last_error(ArrowArrayStream* stream) {
  return stream_private(stream)->last_error.c_str();
}

void stream_release(ArrowArrayStream* stream) {
  delete stream_private(stream);
  stream->release = nullptr;
}

}  // namespace

void export_field(const Field& field, ArrowSchema* out) {
  auto owned = std::make_unique<SchemaPrivate>(field.type.is_list() ? 1 : 0);
  owned->name = field.name;
  owned->format = detail::format_of(field.type);
  if (field.type.is_dictionary) {
    export_field({"", DataType::of(field.type.id), true}, owned->below.dictionary());
  }
  if (field.type.is_list()) {
    export_field({"item", *field.type.element, true}, owned->below.child(0));
  }
  finish_schema(std::move(owned), field.nullable ? kFlagNullable : 0, out);
}

void export_schema(const Schema& schema, ArrowSchema* out) {
  auto owned = std::make_unique<SchemaPrivate>(schema.fields.size());
  owned->format = "+s";
  for (size_t i = 0; i < schema.fields.size(); ++i) {
    export_field(schema.fields[i], owned->below.child(i));
  }
  finish_schema(std::move(owned), 0, out);
}

void export_column(const Array& array, ArrowArray* out) {
  auto owned = std::make_unique<ArrayPrivate>(array.type.is_list() ? 1 : 0);
  owned->array = array.type.is_dictionary ? encode_dictionary(array) : decode_dictionary(array);
  const Array& held = owned->array;
  owned->buffers[0] = held.null_count > 0 ? held.validity.data : nullptr;
  const bool has_offsets = !held.is_encoded() && held.type.is_var_binary();
  if (held.type.is_list()) {
    owned->buffers[1] = bytes_of(held.offsets);
    export_column(*held.elements, owned->below.child(0));
  } else if (has_offsets) {
    owned->buffers[1] = bytes_of(held.offsets);
    owned->buffers[2] = bytes_of(held.values);
  } else {
    owned->buffers[1] = bytes_of(held.values);
  }
  if (held.is_encoded()) export_column(*held.dictionary, owned->below.dictionary());
  finish_array(std::move(owned), array.length, array.null_count, has_offsets ? 3 : 2, out);
}

void export_array(const RecordBatch& batch, ArrowArray* out) {
  auto owned = std::make_unique<ArrayPrivate>(batch.columns.size());
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    export_column(batch.columns[i], owned->below.child(i));
  }
  finish_array(std::move(owned), batch.num_rows, 0, 1, out);
}

void export_stream(SchemaPtr schema, std::function<bool(RecordBatch*)> next,
                   ArrowArrayStream* out) {
  *out = ArrowArrayStream{};
  out->private_data = new StreamPrivate{std::move(schema), std::move(next), {}};
  out->get_schema = stream_get_schema;
  out->get_next = stream_get_next;
  out->get_last_error = stream_last_error;
  out->release = stream_release;
}

}  // namespace pystream
