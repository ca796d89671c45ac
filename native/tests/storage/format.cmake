# Batches that the format is pinned by; also the fuzzer's first inputs.
add_library(golden_batches STATIC storage/golden_batches.cpp)
target_link_libraries(golden_batches PUBLIC pystream_core)
target_compile_definitions(golden_batches PUBLIC
                           PYSTREAM_SOURCE_DIRECTORY="${PROJECT_SOURCE_DIR}/..")
add_executable(write_golden storage/write_golden.cpp)
target_link_libraries(write_golden PRIVATE golden_batches)

foreach(test batch_limits format_damage format_dictionary format_golden format_round_trip
             format_statistics producer topic_writer)
  pystream_test(storage_${test}_test storage/${test}_test.cpp)
  target_link_libraries(storage_${test}_test PRIVATE golden_batches)
endforeach()
