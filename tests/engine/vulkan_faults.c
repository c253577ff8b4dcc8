/* Stands between llama.cpp and the Vulkan loader when it is preloaded: notes every submission and allocation, and makes
   one kind of call fail while a file exists, as a driver would.

   VULKAN_NOTES    file that gets "s" for each queue submission and "m" for each allocation of memory
   VULKAN_FAULT    "NAME RESULT", such as "vkQueueSubmit -4" (VK_ERROR_DEVICE_LOST)
   VULKAN_TRIGGER  file that has to exist for the fault to happen */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void (*Function)(void);
typedef Function (*GetProcAddr)(void *, const char *);

static Function real_submit, real_pipelines, real_allocate, real_get_device_proc;

static int fault(const char *name) {
    const char *wanted = getenv("VULKAN_FAULT"), *trigger = getenv("VULKAN_TRIGGER");
    char fault_name[64];
    int result;
    if (!wanted || !trigger || access(trigger, F_OK) != 0) return 0;
    if (sscanf(wanted, "%63s %d", fault_name, &result) != 2 || strcmp(fault_name, name) != 0) return 0;
    return result;
}

static void note(char what) {
    const char *path = getenv("VULKAN_NOTES");
    if (!path) return;
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (file < 0 || write(file, &what, 1) != 1) abort();
    close(file);
}

static int submit(void *queue, uint32_t count, const void *infos, uint64_t fence) {
    note('s');
    int result = fault("vkQueueSubmit");
    return result ? result : ((int (*)(void *, uint32_t, const void *, uint64_t))real_submit)(queue, count, infos, fence);
}

static int pipelines(void *device, uint64_t cache, uint32_t count, const void *infos, const void *allocator, void *made) {
    int result = fault("vkCreateComputePipelines");
    return result ? result
                  : ((int (*)(void *, uint64_t, uint32_t, const void *, const void *, void *))real_pipelines)(
                        device, cache, count, infos, allocator, made);
}

static int allocate(void *device, const void *info, const void *allocator, void *memory) {
    note('m');
    int result = fault("vkAllocateMemory");
    return result ? result
                  : ((int (*)(void *, const void *, const void *, void *))real_allocate)(device, info, allocator, memory);
}

static Function get_device_proc(void *device, const char *name);

static Function wrapped(const char *name, Function real) {
    if (!real) return real;
    if (!strcmp(name, "vkQueueSubmit")) return real_submit = real, (Function)submit;
    if (!strcmp(name, "vkCreateComputePipelines")) return real_pipelines = real, (Function)pipelines;
    if (!strcmp(name, "vkAllocateMemory")) return real_allocate = real, (Function)allocate;
    if (!strcmp(name, "vkGetDeviceProcAddr")) return real_get_device_proc = real, (Function)get_device_proc;
    return real;
}

static Function get_device_proc(void *device, const char *name) {
    return wrapped(name, ((GetProcAddr)real_get_device_proc)(device, name));
}

Function vkGetInstanceProcAddr(void *instance, const char *name) {
    static GetProcAddr real;
    if (!real) {
        void *loader = dlopen("libvulkan.so.1", RTLD_NOW);
        if (loader) *(void **)&real = dlsym(loader, "vkGetInstanceProcAddr");
        if (!real) abort();
    }
    if (!strcmp(name, "vkGetInstanceProcAddr")) return (Function)vkGetInstanceProcAddr;
    return wrapped(name, real(instance, name));
}
