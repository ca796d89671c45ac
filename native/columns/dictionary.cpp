#include <cassert>
#include <string_view>
#include <unordered_map>

#include "columns/array.hpp"
#include "columns/builder.hpp"

namespace pystream {

Array encode_dictionary(const Array& array) {
  assert(array.type.is_var_binary());
  if (array.is_encoded()) return array;
  DataType entry_type = array.type;
  entry_type.is_dictionary = false;
  VarBinaryBuilder entries(entry_type);
  std::unordered_map<std::string_view, int32_t> positions;  // views into `array`
  MutableBuffer codes(array.length * 4);
  int32_t* out = codes.as<int32_t>();
  for (int64_t i = 0; i < array.length; ++i) {
    if (!array.is_valid(i)) {
      out[i] = 0;
      continue;
    }
    const std::string_view value = array.view(i);
    const auto [at, is_new] = positions.try_emplace(value, static_cast<int32_t>(positions.size()));
    if (is_new) entries.append(value);
    out[i] = at->second;
  }
  Array encoded;
  encoded.type = array.type;
  encoded.length = array.length;
  encoded.null_count = array.null_count;
  encoded.validity = array.validity;
  encoded.values = codes.freeze();
  encoded.dictionary = std::make_shared<const Array>(entries.finish());
  return encoded;
}

}  // namespace pystream
