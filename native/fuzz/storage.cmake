pystream_fuzzer(segment_fuzz segment_fuzz.cpp)
pystream_fuzzer(segment_head_fuzz segment_head_fuzz.cpp)
pystream_fuzzer(schema_blob_fuzz schema_blob_fuzz.cpp)
pystream_fuzzer(order_file_fuzz order_file_fuzz.cpp)
pystream_fuzzer(time_index_fuzz time_index_fuzz.cpp)
pystream_fuzzer(control_page_fuzz control_page_fuzz.cpp)

# Their first inputs are made, not kept: one of each golden batch.
add_executable(segment_corpus segment_corpus.cpp ../tests/storage/golden_batches.cpp)
target_link_libraries(segment_corpus PRIVATE pystream_core)
add_test(NAME fuzz.segment_corpus
         COMMAND segment_corpus ${CMAKE_CURRENT_BINARY_DIR}/found/segment_fuzz
                 ${CMAKE_CURRENT_BINARY_DIR}/found/segment_head_fuzz)
set_tests_properties(fuzz.segment_corpus PROPERTIES FIXTURES_SETUP segment_corpus)
set_tests_properties(fuzz.segment_fuzz fuzz.segment_head_fuzz
                     PROPERTIES FIXTURES_REQUIRED segment_corpus)
