// Nothing: the target llama_test_headers is there for its precompiled headers.
