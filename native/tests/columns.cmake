pystream_test(columns_bitmap_test columns/bitmap_test.cpp)
pystream_test(columns_array_test columns/array_test.cpp)
pystream_test(columns_schema_test columns/schema_test.cpp)
