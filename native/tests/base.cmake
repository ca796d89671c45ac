pystream_test(base_crc32c_test base/crc32c_test.cpp)
pystream_test(base_hash_test base/hash_test.cpp)
pystream_test(base_lz4_test base/lz4_test.cpp)
pystream_test(base_utf8_test base/utf8_test.cpp)
