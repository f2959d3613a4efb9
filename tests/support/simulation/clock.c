/* Preloaded into Postgres: gettimeofday answers with the time that the simulation wrote into the
   file UNSTUCK_CLOCK, in microseconds since 1970. Each call adds a microsecond, so that no two
   readings are equal. Without the file, or while it holds 0, the time is real. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *clock_file;
static int64_t written, last;
static int is_open;

static void open_once(void) {
  const char *path = getenv("UNSTUCK_CLOCK");
  int file = path ? open(path, O_RDONLY) : -1;
  is_open = 1;
  if (file < 0) return;
  void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (page != MAP_FAILED) clock_file = page;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  (void)zone;
  if (!is_open) open_once();
  int64_t now = clock_file ? *clock_file : 0;
  if (now == 0) {
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    at->tv_sec = real.tv_sec;
    at->tv_usec = real.tv_nsec / 1000;
    return 0;
  }
  /* A step back begins the next plan; within a plan the time never falls. */
  if (now < written || now > last) last = now;
  else last += 1;
  written = now;
  at->tv_sec = last / 1000000;
  at->tv_usec = last % 1000000;
  return 0;
}
