# CMake's own module, except that a program which only generates sources is compiled without much optimization: of
# llama.cpp that is vulkan-shaders-gen, which runs for a second and takes the compiler half a minute.
include(${CMAKE_ROOT}/Modules/ExternalProject.cmake)

function(ExternalProject_Add name)
    _ExternalProject_Add(${name} ${ARGN} CMAKE_CACHE_ARGS -DCMAKE_CXX_FLAGS_RELEASE:STRING=-O1)
endfunction()
