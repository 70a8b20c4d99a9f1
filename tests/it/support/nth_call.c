// Preloaded into the program under test: its n-th call to the ledger's files, or to the
// network, fails, is cut short, or is the last thing that the process does.
//
// NTH_CALL_ON    writes | reads | net
// NTH_CALL_AT    which call, from 1
// NTH_CALL_TIMES how many in a row fail; 1 unless set
// NTH_CALL_DO    the number of an error, or: kill (dies before the call), tear (a write
//                gets half as far, any other call to its end; then the process dies)
// NTH_CALL_MARK  file that gets a line when it strikes
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PASS = 0, KILL = -1, TEAR = -2 };

static atomic_long calls;

static const char *setting(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

// A file of the ledger: itself, its -wal or its -shm, but not its lock.
static int is_ledger(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return strstr(path, "/ledger.db") && !strstr(path, ".lock");
}

static int is_net(int fd) {
  int domain = 0;
  socklen_t length = sizeof domain;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) return 0;
  return domain == AF_INET || domain == AF_INET6;
}

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

// What becomes of this call: PASS, TEAR, or the number of an error. KILL does not return.
static int fate(const char *kind, int fd, const char *call) {
  if (strcmp(setting("NTH_CALL_ON"), kind) != 0) return PASS;
  if (!(strcmp(kind, "net") == 0 ? is_net(fd) : is_ledger(fd))) return PASS;
  long at = atol(setting("NTH_CALL_AT")), times = atol(setting("NTH_CALL_TIMES"));
  long number = atomic_fetch_add(&calls, 1) + 1;
  if (number < at || number >= at + (times > 0 ? times : 1)) return PASS;
  int mark = open(setting("NTH_CALL_MARK"), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (mark >= 0) {
    dprintf(mark, "%ld %s\n", number, call);
    close(mark);
  }
  const char *deed = setting("NTH_CALL_DO");
  if (strcmp(deed, "kill") == 0) die();
  return strcmp(deed, "tear") == 0 ? TEAR : atoi(deed);
}

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

// Calls that fail before they do anything, or are the last to do it.
#define SIMPLE(kind, type, name, params, args, fd) \
  type name params { \
    REAL(name); \
    int what = fate(kind, fd, #name); \
    if (what > 0) { errno = what; return -1; } \
    type done = real args; \
    if (what == TEAR) die(); \
    return done; \
  }

// Calls that write bytes: they may get half as far.
#define WRITING(kind, name, params, whole, half, fd) \
  ssize_t name params { \
    REAL(name); \
    int what = fate(kind, fd, #name); \
    if (what > 0) { errno = what; return -1; } \
    if (what == TEAR) { if (real half < 0) {} die(); } \
    return real whole; \
  }

// Calls that wait for bytes count when some have come, or the other side has closed.
#define READING(kind, name, params, args, fd) \
  ssize_t name params { \
    REAL(name); \
    ssize_t done = real args; \
    int what = done < 0 ? PASS : fate(kind, fd, #name); \
    if (what == TEAR) die(); \
    if (what > 0) { errno = what; return -1; } \
    return done; \
  }

WRITING("writes", write, (int fd, const void *from, size_t count), (fd, from, count),
        (fd, from, count / 2), fd)
WRITING("writes", pwrite, (int fd, const void *from, size_t count, off_t at),
        (fd, from, count, at), (fd, from, count / 2, at), fd)
WRITING("writes", pwrite64, (int fd, const void *from, size_t count, off64_t at),
        (fd, from, count, at), (fd, from, count / 2, at), fd)
SIMPLE("writes", int, fsync, (int fd), (fd), fd)
SIMPLE("writes", int, fdatasync, (int fd), (fd), fd)
SIMPLE("writes", int, ftruncate, (int fd, off_t size), (fd, size), fd)
SIMPLE("writes", int, ftruncate64, (int fd, off64_t size), (fd, size), fd)

READING("reads", pread, (int fd, void *to, size_t count, off_t at), (fd, to, count, at), fd)
READING("reads", pread64, (int fd, void *to, size_t count, off64_t at), (fd, to, count, at), fd)

SIMPLE("net", int, connect, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size), fd)
WRITING("net", send, (int fd, const void *from, size_t count, int flags),
        (fd, from, count, flags), (fd, from, count / 2, flags), fd)
READING("net", recv, (int fd, void *to, size_t count, int flags), (fd, to, count, flags), fd)
SIMPLE("net", ssize_t, writev, (int fd, const struct iovec *from, int count), (fd, from, count), fd)
