# How `make chat` has llama.cpp compiled: CMake includes this where llama-cpp-python's project begins
# (CMAKE_PROJECT_INCLUDE). docs/dependencies.md says why, with figures.
#
# Nothing is compiled for the machine that compiles: kernels for several generations of processors lie beside each
# other, and the best that the processor knows are loaded when agentd starts. Each generation costs compile time, so of
# those that llama.cpp lists only these are kept, between which its kernels differ by much.
set(generations
    sse42 haswell alderlake cascadelake sapphirerapids # x86: SSE 4.2, AVX2, AVX-VNNI, AVX-512 with VNNI, AMX
    armv8.0_1 armv8.2_2 armv8.6_1) # ARM: the base, dot products, matrices of bytes with SVE

if(NOT PROJECT_NAME STREQUAL "llama_cpp")
    return()
endif()

# A plain variable counts before the cached one of the same name, which llama-cpp-python sets. These are parts that
# only llama.cpp's own programs use, and what reads pictures and sound.
set(LLAMA_BUILD_COMMON OFF)
set(LLAVA_BUILD OFF)

# CMAKE_ARGS=-DGGML_NATIVE=ON is for this machine alone.
if(DEFINED CACHE{GGML_NATIVE} OR NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
    return()
endif()
set(GGML_NATIVE OFF)
set(GGML_BACKEND_DL ON)
set(GGML_CPU_ALL_VARIANTS ON)

# The kernels lie in the package, beside the other libraries; llama.cpp would put them into bin/.
set(CMAKE_INSTALL_BINDIR llama_cpp/lib)
set(CMAKE_INSTALL_LIBDIR llama_cpp/lib)
set(CMAKE_INSTALL_INCLUDEDIR llama_cpp/include)
set(CMAKE_INSTALL_RPATH $ORIGIN)

set(path ${CMAKE_CURRENT_SOURCE_DIR}/vendor/llama.cpp/ggml/src/CMakeLists.txt)
file(READ ${path} listing)
string(REGEX MATCHALL "ggml_add_cpu_backend_variant\\((x64|[a-z0-9]+ +SSE42|armv[0-9._]+)" calls "${listing}")
foreach(call IN LISTS calls)
    string(REGEX REPLACE ".*\\(([a-z0-9._]+).*" "\\1" generation "${call}")
    if(generation IN_LIST generations)
        list(REMOVE_ITEM generations ${generation})
    else()
        string(REPLACE "${call}" "# left out: (${generation}" listing "${listing}")
    endif()
endforeach()
if(generations)
    message(FATAL_ERROR "This llama.cpp has no kernels for ${generations}: see llama.cmake.")
endif()
file(WRITE ${path} "${listing}")
