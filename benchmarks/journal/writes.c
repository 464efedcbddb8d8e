/* Notes in order what a program does to the files of one journal: for power.py.
   LD_PRELOAD=writes.so WRITES_LOG=log WRITES_PREFIX=/path/j.db  program
   Records: 'W' file off len data | 'S' file | 'T' file len | 'U' file | 'A' number
   ('A' is written by the program itself with pwrite to the log through writes_ack()). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int out = -1;

static ssize_t real_write(int fd, const void *b, size_t n) {
    static ssize_t (*f)(int, const void *, size_t);
    if (!f) f = dlsym(RTLD_NEXT, "write");
    return f(fd, b, n);
}

/* 0: not of the journal, 'd' its file, 'w' its log */
static int which(const char *path) {
    const char *prefix = getenv("WRITES_PREFIX");
    if (!prefix || strncmp(path, prefix, strlen(prefix))) return 0;
    const char *rest = path + strlen(prefix);
    if (!*rest) return 'd';
    return strcmp(rest, "-wal") ? 0 : 'w';
}

static int which_fd(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return which(path);
}

static void note(char kind, char file, uint64_t a, uint64_t b, const void *data) {
    if (out < 0) out = open(getenv("WRITES_LOG"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    char head[18] = {kind, file};
    memcpy(head + 2, &a, 8);
    memcpy(head + 10, &b, 8);
    real_write(out, head, sizeof head);
    if (kind == 'W') real_write(out, data, b);
}

#define LOCKED(x) do { pthread_mutex_lock(&lock); x; pthread_mutex_unlock(&lock); } while (0)

static ssize_t logged_pwrite(const char *name, int fd, const void *b, size_t n, off_t at) {
    ssize_t (*f)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, name);
    int file = which_fd(fd);
    ssize_t done;
    if (!file) return f(fd, b, n, at);
    LOCKED(done = f(fd, b, n, at); if (done > 0) note('W', file, at, done, b));
    return done;
}
ssize_t pwrite(int fd, const void *b, size_t n, off_t at) { return logged_pwrite("pwrite", fd, b, n, at); }
ssize_t pwrite64(int fd, const void *b, size_t n, off_t at) { return logged_pwrite("pwrite64", fd, b, n, at); }

ssize_t write(int fd, const void *b, size_t n) {
    int file = which_fd(fd);
    ssize_t done;
    if (!file) return real_write(fd, b, n);
    off_t at = lseek(fd, 0, SEEK_CUR);
    LOCKED(done = real_write(fd, b, n); if (done > 0) note('W', file, at, done, b));
    return done;
}

static int logged_sync(const char *name, int fd) {
    int (*f)(int) = dlsym(RTLD_NEXT, name);
    int file = which_fd(fd), done;
    if (!file) return f(fd);
    LOCKED(done = f(fd); if (!done) note('S', file, 0, 0, 0));
    return done;
}
int fsync(int fd) { return logged_sync("fsync", fd); }
int fdatasync(int fd) { return logged_sync("fdatasync", fd); }

static int logged_truncate(const char *name, int fd, off_t n) {
    int (*f)(int, off_t) = dlsym(RTLD_NEXT, name);
    int file = which_fd(fd), done;
    if (!file) return f(fd, n);
    LOCKED(done = f(fd, n); if (!done) note('T', file, n, 0, 0));
    return done;
}
int ftruncate(int fd, off_t n) { return logged_truncate("ftruncate", fd, n); }
int ftruncate64(int fd, off_t n) { return logged_truncate("ftruncate64", fd, n); }

int unlink(const char *path) {
    int (*f)(const char *) = dlsym(RTLD_NEXT, "unlink");
    int file = which(path), done;
    LOCKED(done = f(path); if (!done && file) note('U', file, 0, 0, 0));
    return done;
}

void writes_ack(uint64_t number) { LOCKED(note('A', 0, number, 0, 0)); }
