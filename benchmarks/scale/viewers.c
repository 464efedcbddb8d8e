/* The viewers: N WebSocket clients that look at every log event they get.
 *
 * usage: viewers PORT N PATH "Extra-Header: value" ...
 * Each client's log events must count up by one ("seq", at the end of the frame), and so must the
 * benchmark's own ("n"). "at" is when it was published, microseconds of CLOCK_MONOTONIC.
 * Prints "ready" once each has its snapshot. On stdin, one a line: "report" prints the figures as
 * JSON, "reset" forgets the latencies. End of input ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STEP_US 50
#define STEPS 400000 /* up to 20 s */

typedef struct {
    int fd, open, snapshot;
    long seq, n, events;
    size_t have, room;
    char *data;
} Client;

static long steps[STEPS];
static long events_seen, bytes_seen, gaps, repeats, closed, strange;
static double worst;
static int ready;

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static long number_after(const char *text, size_t size, const char *name, double *real) {
    char *found = memmem(text, size, name, strlen(name));
    if (found == NULL) return -1;
    char copy[40] = {0};
    size_t left = text + size - (found + strlen(name));
    memcpy(copy, found + strlen(name), left < 39 ? left : 39);
    if (real != NULL) *real = strtod(copy, NULL);
    return strtol(copy, NULL, 10);
}

static void frame(Client *c, const char *text, size_t size, double at) {
    if (!c->snapshot) {
        if (memmem(text, size < 60 ? size : 60, "STATE_SNAPSHOT", 14) == NULL) { strange++; return; }
        c->snapshot = 1;
        c->seq = number_after(text, size < 400 ? size : 400, "\"seq\":", NULL);
        ready++;
        return;
    }
    if (memmem(text, size < 40 ? size : 40, "HEARTBEAT", 9) != NULL) return;
    size_t tail = size < 30 ? size : 30;
    long seq = number_after(text + size - tail, tail, "\"seq\":", NULL);
    if (seq < 0) return; /* a state event */
    if (seq <= c->seq) repeats++;
    else if (seq != c->seq + 1) gaps++;
    c->seq = seq;
    if (memmem(text, size < 40 ? size : 40, "\"BENCH\"", 7) == NULL) return;
    double published = 0;
    long n = number_after(text, size, "\"n\":", NULL);
    number_after(text, size, "\"at\":", &published);
    if (c->n && n <= c->n) repeats++;
    else if (c->n && n != c->n + 1) gaps++;
    c->n = n;
    c->events++;
    events_seen++;
    double late = at - published;
    if (late > worst) worst = late;
    long step = late < 0 ? 0 : (long)(late / STEP_US);
    steps[step < STEPS ? step : STEPS - 1]++;
}

static void got(Client *c, double at) {
    size_t from = 0;
    while (c->have - from >= 2) {
        unsigned char *p = (unsigned char *)c->data + from;
        size_t head = 2, size = p[1] & 127;
        if (size == 126) head = 4;
        if (size == 127) head = 10;
        if (c->have - from < head) break;
        if (head > 2) { size = 0; for (size_t j = 2; j < head; j++) size = size << 8 | p[j]; }
        if (c->have - from < head + size) break;
        int opcode = p[0] & 15;
        if (opcode == 1) frame(c, (char *)p + head, size, at);
        else if (opcode == 9) { /* an unmasked pong would be wrong: mask of zero */
            unsigned char pong[140] = {0x8A, 0x80 | (unsigned char)size};
            memcpy(pong + 6, p + head, size);
            if (write(c->fd, pong, 6 + size) < 0) strange++;
        } else if (opcode == 8) closed++;
        else strange++;
        from += head + size;
    }
    memmove(c->data, c->data + from, c->have - from);
    c->have -= from;
}

static double percentile(double share) {
    long all = 0, upto = 0;
    for (int i = 0; i < STEPS; i++) all += steps[i];
    for (int i = 0; i < STEPS; i++) {
        upto += steps[i];
        if (all && upto >= share * all) return (i + 1) * STEP_US / 1000.0;
    }
    return 0;
}

static void report(Client *clients, int n) {
    long least = -1, most = 0, lowest = -1;
    for (int i = 0; i < n; i++) {
        if (least < 0 || clients[i].events < least) least = clients[i].events;
        if (clients[i].events > most) most = clients[i].events;
        if (lowest < 0 || clients[i].n < lowest) lowest = clients[i].n;
    }
    printf("{\"clients\":%d,\"events\":%ld,\"least\":%ld,\"most\":%ld,\"last_n\":%ld,\"gaps\":%ld,"
           "\"repeats\":%ld,\"closed\":%ld,\"strange\":%ld,\"bytes\":%ld,\"p50_ms\":%.2f,"
           "\"p99_ms\":%.2f,\"p999_ms\":%.2f,\"worst_ms\":%.2f}\n",
           n, events_seen, least, most, lowest, gaps, repeats, closed, strange, bytes_seen,
           percentile(0.5), percentile(0.99), percentile(0.999), worst / 1000.0);
    fflush(stdout);
}

int main(int argc, char **argv) {
    int port = atoi(argv[1]), n = atoi(argv[2]), told = 0;
    char request[4096];
    int length = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Protocol: mt5dash.v1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n", argv[3], port);
    for (int i = 4; i < argc; i++)
        length += snprintf(request + length, sizeof request - length, "%s\r\n", argv[i]);
    length += snprintf(request + length, sizeof request - length, "\r\n");

    struct rlimit limit = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &limit);
    Client *clients = calloc(n, sizeof *clients);
    int ep = epoll_create1(0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    for (int i = 0; i < n; i++) {
        Client *c = &clients[i];
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        c->room = 1 << 16;
        c->data = malloc(c->room);
        while (connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0) {
            if (errno != EAGAIN && errno != ECONNREFUSED) { perror("connect"); return 1; }
            usleep(1000);
        }
        if (write(c->fd, request, length) != length) { perror("write"); return 1; }
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &event);
    }
    fcntl(0, F_SETFL, O_NONBLOCK);
    struct epoll_event in = {.events = EPOLLIN, .data.u32 = 0xffffffff};
    epoll_ctl(ep, EPOLL_CTL_ADD, 0, &in);

    struct epoll_event found[512];
    for (;;) {
        int count = epoll_wait(ep, found, 512, -1);
        for (int e = 0; e < count; e++) {
            if (found[e].data.u32 == 0xffffffff) {
                char line[256];
                ssize_t k = read(0, line, sizeof line);
                if (k == 0) return 0;
                for (ssize_t j = 0, start = 0; j < k; j++) {
                    if (line[j] != '\n') continue;
                    if (strncmp(line + start, "reset", 5) == 0) {
                        memset(steps, 0, sizeof steps);
                        worst = 0;
                        printf("{}\n");
                        fflush(stdout);
                    } else report(clients, n);
                    start = j + 1;
                }
                continue;
            }
            Client *c = &clients[found[e].data.u32];
            if (c->room - c->have < (1 << 15)) c->data = realloc(c->data, c->room *= 2);
            ssize_t k = read(c->fd, c->data + c->have, c->room - c->have);
            if (k <= 0) {
                if (k < 0 && errno == EAGAIN) continue;
                closed++;
                epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
                close(c->fd);
                continue;
            }
            bytes_seen += k;
            c->have += k;
            if (!c->open) { /* the HTTP head */
                char *end = memmem(c->data, c->have, "\r\n\r\n", 4);
                if (end == NULL) continue;
                if (strncmp(c->data, "HTTP/1.1 101", 12) != 0) { fprintf(stderr, "%.80s\n", c->data); return 1; }
                c->open = 1;
                c->have -= end + 4 - c->data;
                memmove(c->data, end + 4, c->have);
            }
            got(c, now_us());
            if (ready == n && !told) { told = 1; printf("ready\n"); fflush(stdout); }
        }
    }
}
