/* Stands between llama.cpp and ggml when it is preloaded: computing a graph ends the process by a signal while a file
   exists, as code that a compiler built wrong for this processor does.

   CPU_FAULT    "SIGNAL WHERE": a signal's number, and "repacked" for processes that hold weights in an order of the
                CPU's own, "always" for all
   CPU_TRIGGER  file that has to exist for the fault to happen */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int has_repacked;

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    /* llama.cpp's libraries are opened by Python, out of sight of what is preloaded. */
    if (!found) {
        void *library = dlopen("libggml-base.so.0", RTLD_LAZY | RTLD_NOLOAD);
        if (!library) library = dlopen("libggml-base.so", RTLD_LAZY | RTLD_NOLOAD);
        found = library ? dlsym(library, name) : NULL;
    }
    if (!found) abort();
    return found;
}

void *ggml_backend_alloc_ctx_tensors_from_buft(void *context, void *kind) {
    const char *name = ((const char *(*)(void *))next("ggml_backend_buft_name"))(kind);
    if (strcmp(name, "AMX") == 0 || strstr(name, "_REPACK") || strstr(name, "_KLEIDIAI")) has_repacked = 1;
    return ((void *(*)(void *, void *))next("ggml_backend_alloc_ctx_tensors_from_buft"))(context, kind);
}

int ggml_backend_sched_graph_compute_async(void *scheduler, void *graph) {
    const char *fault = getenv("CPU_FAULT"), *trigger = getenv("CPU_TRIGGER");
    char where[16] = "";
    int number = 0;
    if (fault && trigger && access(trigger, F_OK) == 0 && sscanf(fault, "%d %15s", &number, where) == 2 &&
        (has_repacked || strcmp(where, "always") == 0)) {
        signal(number, SIG_DFL);
        kill(getpid(), number);
        for (;;) pause();
    }
    return ((int (*)(void *, void *))next("ggml_backend_sched_graph_compute_async"))(scheduler, graph);
}
