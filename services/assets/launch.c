/*
 * Starts one server so that it dies with the process that wanted it.
 *
 *   launch PARENT exec PROGRAM ARGUMENT…     becomes PROGRAM
 *   launch PARENT chdb LIBRARY ARGUMENT…     runs LIBRARY's clickhouse-local with the arguments
 *
 * PARENT is the pid that must still be the parent, or 0 for a server that outlives whoever starts it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int run_chdb(int argc, char **argv) {
    void *(*run)(int, char **);
    const char *(*error_of)(void *);
    void *library = dlopen(argv[0], RTLD_NOW);
    if (!library) {
        fprintf(stderr, "launch: %s\n", dlerror());
        return 126;
    }
    /* POSIX promises that a symbol's address fits a function pointer; C does not, hence the detour. */
    *(void **)&run = dlsym(library, "chdb_query_cmdline");
    *(void **)&error_of = dlsym(library, "chdb_result_error");
    if (!run || !error_of) {
        fprintf(stderr, "launch: %s is not a libchdb: %s\n", argv[0], dlerror());
        return 126;
    }
    argv[0] = "clickhouse";
    void *result = run(argc, argv);
    const char *error = result ? error_of(result) : NULL;
    if (error) {
        fprintf(stderr, "launch: %s\n", error);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: launch PARENT exec|chdb FILE ARGUMENT…\n");
        return 2;
    }
    long parent = strtol(argv[1], NULL, 10);
    /* A group and a session of its own: Ctrl-C in the terminal is for the parent. */
    setsid();
    if (parent > 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* The parent may have died before the line above; then the signal never comes. */
        if (getppid() != (pid_t)parent) {
            return 3;
        }
    }
    if (strcmp(argv[2], "chdb") == 0) {
        return run_chdb(argc - 3, argv + 3);
    }
    execvp(argv[3], argv + 3);
    fprintf(stderr, "launch: %s: %s\n", argv[3], strerror(errno));
    return 127;
}
