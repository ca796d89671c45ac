// Arbitrary bytes as the header of the order file, as they are and with the checksum put right.

#include <cstring>

#include "base/crc32c.hpp"
#include "storage/format_version.hpp"
#include "storage/order_file.hpp"

namespace {

using namespace pystream::storage;

void check(const uint8_t* bytes) {
  OrderHeader header;
  const OrderStatus status = parse_order_header({bytes, sizeof(OrderHeader)}, &header);
  if (status != OrderStatus::kSound) return;
  // Whatever is used later is what was written by this version.
  OrderHeader again = header;
  const uint32_t crc =
      pystream::crc32c(0, reinterpret_cast<const uint8_t*>(&again) + 8, sizeof(again) - 8);
  if (header.magic != kOrderMagic || !is_readable_version(header.version) ||
      header.incompatible_features != 0 || header.crc != crc) {
    __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < sizeof(OrderHeader)) return 0;
  uint8_t bytes[sizeof(OrderHeader)];
  std::memcpy(bytes, input, sizeof(bytes));
  check(bytes);
  std::memcpy(bytes, &kOrderMagic, sizeof(kOrderMagic));
  const uint32_t crc = pystream::crc32c(0, bytes + 8, sizeof(bytes) - 8);
  std::memcpy(bytes + 4, &crc, sizeof(crc));
  check(bytes);
  return 0;
}
