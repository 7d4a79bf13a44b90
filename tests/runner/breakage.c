/* Preloaded by test_broken_runner: a disk that fails or hangs, and a wall clock that steps.
   Each is switched on by a file in the folder that BREAK_DIR names. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int on(const char *name)
{
    char path[4096];
    const char *dir = getenv("BREAK_DIR");
    if (!dir)
        return 0;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

int fsync(int fd)
{
    if (on("fsync-fails")) {
        errno = EIO;
        return -1;
    }
    if (on("fsync-hangs"))
        sleep(4);
    return syscall(SYS_fsync, fd);
}

int clock_gettime(clockid_t id, struct timespec *at)
{
    int result = syscall(SYS_clock_gettime, id, at);
    if (id == CLOCK_REALTIME && on("clock-steps"))
        at->tv_sec -= 7200;
    return result;
}
