pystream_test(windows_slicing_test windows/slicing_test.cpp)
pystream_test(windows_aggregation_test windows/window_aggregation_test.cpp)
pystream_test(windows_aggregates_test windows/aggregates_test.cpp)
pystream_test(windows_differential_test windows/differential_test.cpp)
pystream_test(windows_side_states_test windows/side_states_test.cpp)
pystream_test(windows_session_aggregation_test windows/session_aggregation_test.cpp)
pystream_test(windows_count_aggregation_test windows/count_aggregation_test.cpp)
pystream_test(windows_triggered_test windows/triggered_aggregation_test.cpp)
pystream_test(windows_user_state_test windows/user_state_test.cpp)
pystream_test(windows_snapshot_test
              windows/snapshot_test.cpp
              windows/snapshot_tables_test.cpp
              windows/snapshot_user_state_test.cpp)
