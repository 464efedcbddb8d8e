/* The load: opens N WebSocket clients, reads what comes as fast as it can, tells what it got.
 *
 * usage: reader PORT N PATH "Extra-Header: value" ...
 * Commands on stdin, one a line: "count" prints "MESSAGES BYTES CLOSED" so far; end of input ends.
 * After the handshakes it prints "ready MICROSECONDS BYTES": until each had one whole message. */
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

static char buffer[1 << 18];

typedef struct { int fd; int state; int greeted; long need; int head; char hold[16]; char tail[4]; } Client;

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

int main(int argc, char **argv) {
    int port = atoi(argv[1]), n = atoi(argv[2]);
    char request[4096];
    int length = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n", argv[3], port);
    for (int i = 4; i < argc; i++)
        length += snprintf(request + length, sizeof request - length, "%s\r\n", argv[i]);
    length += snprintf(request + length, sizeof request - length, "\r\n");

    struct rlimit limit = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &limit);
    Client *clients = calloc(n, sizeof *clients);
    int ep = epoll_create1(0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    double started = now_us();
    for (int i = 0; i < n; i++) {
        Client *c = &clients[i];
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
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

    long total = 0, messages = 0, closed = 0;
    int ready = 0;
    struct epoll_event events[512];
    for (;;) {
        int got = epoll_wait(ep, events, 512, -1);
        for (int e = 0; e < got; e++) {
            if (events[e].data.u32 == 0xffffffff) {
                char line[256];
                ssize_t k = read(0, line, sizeof line);
                if (k == 0) return 0;
                for (ssize_t j = 0; j < k; j++)
                    if (line[j] == '\n') { printf("%ld %ld %ld\n", messages, total, closed); fflush(stdout); }
                continue;
            }
            Client *c = &clients[events[e].data.u32];
            ssize_t k = read(c->fd, buffer, sizeof buffer);
            if (k <= 0) {
                if (k < 0 && errno == EAGAIN) continue;
                epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
                close(c->fd);
                closed++;
                continue;
            }
            total += k;
            char *p = buffer;
            ssize_t left = k;
            while (left > 0) {
                if (c->state == 0) { /* HTTP head */
                    memmove(c->tail, c->tail + 1, 3);
                    c->tail[3] = *p++;
                    left--;
                    if (memcmp(c->tail, "\r\n\r\n", 4) == 0) c->state = 1;
                } else if (c->state == 1) { /* frame head */
                    c->hold[c->head++] = *p++;
                    left--;
                    int size = c->head >= 2 ? (c->hold[1] & 127) : -1;
                    int want = size == 126 ? 4 : size == 127 ? 10 : 2;
                    if (size >= 0 && c->head == want) {
                        unsigned long need = 0;
                        if (size < 126) need = size;
                        else for (int j = 2; j < want; j++) need = need << 8 | (unsigned char)c->hold[j];
                        c->need = need;
                        c->state = 2;
                    }
                } else {
                    long take = left < c->need ? left : c->need;
                    c->need -= take; p += take; left -= take;
                }
                if (c->state == 2 && c->need == 0) { /* whole; control frames do not count */
                    c->state = 1;
                    c->head = 0;
                    if (c->hold[0] & 0x08) continue;
                    messages++;
                    if (!c->greeted) {
                        c->greeted = 1;
                        if (++ready == n) { printf("ready %.0f %ld\n", now_us() - started, total); fflush(stdout); }
                    }
                }
            }
        }
    }
}
