/* A target that knows the truth: it notes when each request came and when it was answered.
 *
 *     truthserver RECORDS BASE_US [BEGIN_MS:END_MS ...]
 *
 * `GET /r?id=N` is held for BASE_US and a part that depends on N alone (one in fifty 20 ms longer, one in
 * five hundred 80 ms); in a stall, counted from the first such request, until the stall ends besides. With
 * BASE_US 0 nothing is held. Prints its port; when its standard input ends it writes lines of
 * `id arrived_ns answered_ns` (CLOCK_MONOTONIC) and ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 65536, RECORDS_MAX = 4000000, STALLS_MAX = 16, BUFFER = 4096 };
static const char ANSWER[] = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok";

struct held { int64_t due; int fd; uint32_t turn; int record; };
static struct held heap[CONNECTIONS];
static int heap_size, record_count, stall_count;
static struct { int64_t id, arrived, answered; } records[RECORDS_MAX];
static struct { int64_t begin, end; } stalls[STALLS_MAX];
static char buffers[CONNECTIONS][BUFFER];
static int filled[CONNECTIONS];
static uint32_t turns[CONNECTIONS];
static int64_t base_us, first_ns;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void push(struct held item) {
    int place = heap_size++;
    while (place && heap[(place - 1) / 2].due > item.due) {
        heap[place] = heap[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    heap[place] = item;
}

static struct held pop(void) {
    struct held top = heap[0], last = heap[--heap_size];
    int place = 0;
    for (;;) {
        int child = 2 * place + 1;
        if (child >= heap_size) break;
        if (child + 1 < heap_size && heap[child + 1].due < heap[child].due) child++;
        if (heap[child].due >= last.due) break;
        heap[place] = heap[child];
        place = child;
    }
    heap[place] = last;
    return top;
}

static int64_t answer_at(int64_t id, int64_t now) {
    if (!base_us || id < 0) return now;
    if (!first_ns) first_ns = now;
    uint64_t mix = (uint64_t)id * 0x9E3779B97F4A7C15ULL >> 33;
    int64_t hold = base_us * 1000 + (mix % 50 == 7 ? 20000000 : 0) + (mix % 500 == 11 ? 80000000 : 0);
    for (int n = 0; n < stall_count; n++) {
        int64_t begin = first_ns + stalls[n].begin, end = first_ns + stalls[n].end;
        if (now >= begin && now < end) return end + hold;
    }
    return now + hold;
}

static void answer(int fd, int record) {
    if (record >= 0) records[record].answered = now_ns();
    if (send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) < 0) return;
}

static void take(int fd) {
    ssize_t got = recv(fd, buffers[fd] + filled[fd], BUFFER - 1 - filled[fd], 0);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        turns[fd]++;
        close(fd);
        return;
    }
    filled[fd] += got;
    buffers[fd][filled[fd]] = 0;
    char *end = strstr(buffers[fd], "\r\n\r\n");
    if (!end) return;
    char *found = strstr(buffers[fd], "id=");
    int64_t id = found && found < end ? atoll(found + 3) : -1, now = now_ns();
    int record = -1;
    if (id >= 0 && record_count < RECORDS_MAX) {
        record = record_count++;
        records[record].id = id;
        records[record].arrived = now;
    }
    filled[fd] = 0;
    int64_t due = answer_at(id, now);
    if (due <= now) answer(fd, record);
    else push((struct held){due, fd, turns[fd], record});
}

int main(int count, char **words) {
    if (count < 3) return 2;
    base_us = atoll(words[2]);
    for (int n = 3; n < count && stall_count < STALLS_MAX; n++, stall_count++) {
        long begin, end;
        if (sscanf(words[n], "%ld:%ld", &begin, &end) != 2) return 2;
        stalls[stall_count].begin = begin * 1000000LL;
        stalls[stall_count].end = end * 1000000LL;
    }
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) return 1;
    getsockname(listener, (struct sockaddr *)&at, &size);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    event.data.fd = 0;
    epoll_ctl(poll, EPOLL_CTL_ADD, 0, &event);
    for (;;) {
        struct timespec wait = {3600, 0};
        if (heap_size) {
            int64_t left = heap[0].due - now_ns();
            if (left < 0) left = 0;
            wait.tv_sec = left / 1000000000;
            wait.tv_nsec = left % 1000000000;
        }
        int ready = epoll_pwait2(poll, events, 256, &wait, NULL);
        while (heap_size && heap[0].due <= now_ns()) {
            struct held next = pop();
            if (turns[next.fd] == next.turn) answer(next.fd, next.record);
        }
        for (int n = 0; n < ready; n++) {
            int fd = events[n].data.fd;
            if (fd == 0) {
                FILE *file = fopen(words[1], "w");
                for (int r = 0; file && r < record_count; r++)
                    fprintf(file, "%lld %lld %lld\n", (long long)records[r].id, (long long)records[r].arrived,
                            (long long)records[r].answered);
                return file && !fclose(file) ? 0 : 1;
            }
            if (fd != listener) {
                take(fd);
                continue;
            }
            int caller;
            while ((caller = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (caller >= CONNECTIONS) { close(caller); continue; }
                setsockopt(caller, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                filled[caller] = 0;
                event.data.fd = caller;
                epoll_ctl(poll, EPOLL_CTL_ADD, caller, &event);
            }
        }
    }
}
