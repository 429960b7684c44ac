# How `make chat` has llama.cpp compiled: CMake includes this where llama-cpp-python's project begins
# (CMAKE_PROJECT_INCLUDE). docs/dependencies.md says why, with figures.
#
# Nothing is compiled for the machine that compiles: kernels for several generations of processors lie beside each
# other, and llama.cpp loads the best that the processor knows. Each generation costs compile time, so only those of
# the fourteen for x86 are kept between which ggml's kernels differ by much. A plain variable counts before the cached
# one of the same name that llama-cpp-python sets.
set(x86_generations sse42 haswell alderlake cascadelake sapphirerapids)

if(NOT PROJECT_NAME STREQUAL "llama_cpp")
    return()
endif()

# What only llama.cpp's own programs use, and what reads pictures and sound.
set(LLAMA_BUILD_COMMON OFF)
set(LLAVA_BUILD OFF)

# Who compiles for this machine, or for one with a GPU of Apple's, does so as llama-cpp-python does.
if(DEFINED CACHE{GGML_NATIVE} OR NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
    return()
endif()
set(GGML_NATIVE OFF)
set(GGML_BACKEND_DL ON)
set(GGML_CPU_ALL_VARIANTS ON)

# Beside the other libraries, where they find each other.
set(CMAKE_INSTALL_BINDIR llama_cpp/lib)
set(CMAKE_INSTALL_LIBDIR llama_cpp/lib)
set(CMAKE_INSTALL_INCLUDEDIR llama_cpp/include)
set(CMAKE_INSTALL_RPATH $ORIGIN)

set(path ${CMAKE_CURRENT_SOURCE_DIR}/vendor/llama.cpp/ggml/src/CMakeLists.txt)
file(READ ${path} listing)
string(REGEX MATCHALL "ggml_add_cpu_backend_variant\\((x64|[a-z0-9]+ +SSE42)" calls "${listing}")
foreach(call IN LISTS calls)
    string(REGEX REPLACE ".*\\(([a-z0-9]+).*" "\\1" generation "${call}")
    if(generation IN_LIST x86_generations)
        list(REMOVE_ITEM x86_generations ${generation})
    else()
        string(REPLACE "${call}" "# left out: (${generation}" listing "${listing}")
    endif()
endforeach()
if(x86_generations)
    message(FATAL_ERROR "This llama.cpp has no kernels for ${x86_generations}: see llama.cmake.")
endif()
file(WRITE ${path} "${listing}")
