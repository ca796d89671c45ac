#include "columns/schema.hpp"

#include <algorithm>

namespace pystream {

int Schema::index_of(std::string_view name) const {
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

bool Schema::extends(const Schema& earlier) const {
  if (fields.size() < earlier.fields.size()) return false;
  const auto added = fields.begin() + earlier.size();
  return std::equal(earlier.fields.begin(), earlier.fields.end(), fields.begin()) &&
         std::all_of(added, fields.end(), [](const Field& field) { return field.nullable; });
}

std::string Schema::to_string() const {
  std::string text;
  for (const Field& field : fields) {
    if (!text.empty()) text += ", ";
    text += field.name + ": " + field.type.to_string();
    if (!field.nullable) text += " not null";
  }
  return text;
}

}  // namespace pystream
