# Makes llama.cpp's build as small as llmtui needs it. CMake reads this at the end of every `project()`, by way of
# CMAKE_PROJECT_INCLUDE; the sources stay as they are. Needs CMake 3.19.
if(NOT PROJECT_NAME STREQUAL "llama.cpp")
    return()
endif()

# llama-cpp-python forces `common` on in the cache; a plain variable goes before that. Nothing of llama.cpp is built or
# installed but what `llama` needs: llama-cpp-python has rules of its own to install the libraries.
set(LLAMA_BUILD_COMMON OFF)
set(LLAMA_ALL_WARNINGS OFF)
set_property(DIRECTORY PROPERTY EXCLUDE_FROM_ALL TRUE)
list(PREPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})

# A compiler that links libstdc++ from an archive would have each library export what it took of that, and all of them,
# the system's libstdc++ too, use the parts of whichever is loaded first. Where two versions meet, streams find another
# facet than the one that writes numbers.
include(CheckLinkerFlag)
check_linker_flag(CXX "LINKER:--exclude-libs,ALL" LLMTUI_CAN_HIDE_ARCHIVES)
if(LLMTUI_CAN_HIDE_ARCHIVES)
    add_link_options("LINKER:--exclude-libs,ALL")
endif()

function(llmtui_speed_up_build)
    set(ggml ${CMAKE_CURRENT_SOURCE_DIR}/ggml/src)
    set_target_properties(llama PROPERTIES EXCLUDE_FROM_ALL FALSE)

    # Loading, the graphs of 130 architectures and the like run once in a while; what runs for each token stays as it is.
    target_compile_options(llama PRIVATE -O1)
    foreach(name batch context graph kv-cache kv-cache-iswa memory-recurrent sampler vocab)
        set_source_files_properties(src/llama-${name}.cpp TARGET_DIRECTORY llama PROPERTIES COMPILE_OPTIONS -O3)
    endforeach()
    set_source_files_properties(src/unicode.cpp TARGET_DIRECTORY llama PROPERTIES COMPILE_OPTIONS -O3)

    # Three files that each read all of Vulkan's C++ headers, beside 155 of nothing but bytes.
    if(TARGET ggml-vulkan)
        set_target_properties(ggml-vulkan PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 3)
        get_target_property(sources ggml-vulkan SOURCES)
        list(FILTER sources INCLUDE REGEX "\\.comp\\.cpp$")
        set_source_files_properties(${sources} TARGET_DIRECTORY ggml-vulkan
            PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    endif()

    # GCC 12 takes the stores of AMX's tile configuration for dead: llama.cpp's issue 20824. GCC 14 does not.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
        set_source_files_properties(${ggml}/ggml-cpu/amx/mmq.cpp TARGET_DIRECTORY ggml-cpu
            PROPERTIES COMPILE_OPTIONS "-fno-dse;-fno-tree-dse")
    endif()
    # What a safer build leaves out, as options of the compiler; they go before -march=native wherever they stand.
    target_compile_options(ggml-cpu PRIVATE ${LLMTUI_CPU_FLAGS})
endfunction()
cmake_language(DEFER CALL llmtui_speed_up_build)
