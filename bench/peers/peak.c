/* What the vector units of an x86-64 processor can do at most: independent chains of instructions, registers only.
 *
 *     cc -O2 -pthread peak.c -o peak && ./peak 2
 *
 * Prints JSON: the clock from a chain of dependent additions (one a cycle), then for each kind of number the billions of operations a
 * second (a multiply-add counts two) of one thread and of all, with the widest instructions that the processor has; null for bf16
 * without instructions for it. A dependent chain cannot be overlapped or fused, so its rate is the clock, whatever the time stamp
 * counter says. Spells of a few milliseconds, the best of many: on a busy machine some are undisturbed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SPELLS 200
#define ROUNDS 200000

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* Twelve accumulators: two instructions a cycle of up to six cycles each. Registers 14 and 15 hold operands. */
#define REPEAT(NAME, I, W)                                                                                                      \
    static void NAME(long rounds) {                                                                                             \
        for (long i = 0; i < rounds; i++)                                                                                       \
            __asm__ volatile(I(W "0") I(W "1") I(W "2") I(W "3") I(W "4") I(W "5") I(W "6") I(W "7") I(W "8") I(W "9")           \
                             I(W "10") I(W "11") ::: "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",     \
                             "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                                      \
    }
#define FMA256(R) "vfmadd231ps %%ymm14, %%ymm15, %%" R "\n\t"
#define FMA512(R) "vfmadd231ps %%zmm14, %%zmm15, %%" R "\n\t"
#define BF16_512(R) "vdpbf16ps %%zmm14, %%zmm15, %%" R "\n\t"
#define INT8_512(R) "vpdpbusd %%zmm14, %%zmm15, %%" R "\n\t"
#define INT8_256(R) "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%" R "\n\t"
/* Without a dot product: bytes to pairs, pairs to fours, sum. */
#define INT8_AVX2(R) "vpmaddubsw %%ymm14, %%ymm15, %%ymm13\n\tvpmaddwd %%ymm15, %%ymm13, %%ymm12\n\tvpaddd %%ymm12, %%" R ", %%" R "\n\t"
REPEAT(fma256, FMA256, "ymm")
REPEAT(fma512, FMA512, "zmm")
REPEAT(bf16_512, BF16_512, "zmm")
REPEAT(int8_512, INT8_512, "zmm")
REPEAT(int8_256, INT8_256, "ymm")
REPEAT(int8_avx2, INT8_AVX2, "ymm")

struct kind { const char *name, *instruction; void (*run)(long); double operations; };

static double once(const struct kind *kind) {
    __asm__ volatile("vxorps %%xmm14, %%xmm14, %%xmm14\n\tvxorps %%xmm15, %%xmm15, %%xmm15" ::: "xmm14", "xmm15");
    double start = now();
    kind->run(ROUNDS);
    double seconds = now() - start;
    __asm__ volatile("vzeroupper");
    return 12 * kind->operations * ROUNDS / seconds / 1e9;
}

static double clock_ghz(void) {
    long rounds = 500000;
    double start = now();
    for (long i = 0; i < rounds; i++)
        __asm__ volatile("add $1, %%rax\n\tadd $1, %%rax\n\tadd $1, %%rax\n\tadd $1, %%rax\n\t"
                         "add $1, %%rax\n\tadd $1, %%rax\n\tadd $1, %%rax\n\tadd $1, %%rax" ::: "rax");
    return rounds * 8.0 / (now() - start) / 1e9;
}

struct task { const struct kind *kind; double best; };

static void *spells(void *argument) {
    struct task *task = argument;
    for (int i = 0; i < SPELLS; i++) {
        double speed = once(task->kind);
        if (speed > task->best) task->best = speed;
    }
    return NULL;
}

/* The sum of what `threads` threads reach at the same time. */
static double together(const struct kind *kind, int threads) {
    pthread_t handles[1024];
    struct task tasks[1024];
    if (threads > 1024) threads = 1024;
    for (int i = 0; i < threads; i++) {
        tasks[i] = (struct task){kind, 0};
        pthread_create(&handles[i], NULL, spells, &tasks[i]);
    }
    double sum = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(handles[i], NULL);
        sum += tasks[i].best;
    }
    return sum;
}

static void report(const struct kind *kind, int threads) {
    if (!kind->run) printf(", \"%s\": null", kind->name);
    else printf(", \"%s\": {\"instruction\": \"%s\", \"one\": %.1f, \"all\": %.1f}", kind->name, kind->instruction, together(kind, 1),
                together(kind, threads));
}

int main(int count, char **arguments) {
    int threads = count > 1 ? atoi(arguments[1]) : 1;
    __builtin_cpu_init();
    if (threads < 1 || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 1;
    int wide = __builtin_cpu_supports("avx512f");
    struct kind f32 = {"f32", "vfmadd231ps ymm", fma256, 16}, bf16 = {"bf16", "", NULL, 0};
    struct kind int8 = {"int8", "vpmaddubsw, vpmaddwd, vpaddd ymm", int8_avx2, 64};
    if (wide) f32 = (struct kind){"f32", "vfmadd231ps zmm", fma512, 32};
    if (wide && __builtin_cpu_supports("avx512bf16")) bf16 = (struct kind){"bf16", "vdpbf16ps zmm", bf16_512, 64};
    if (wide && __builtin_cpu_supports("avx512vnni")) int8 = (struct kind){"int8", "vpdpbusd zmm", int8_512, 128};
    else if (__builtin_cpu_supports("avxvnni")) int8 = (struct kind){"int8", "vpdpbusd ymm", int8_256, 64};
    double best = 0;
    for (int i = 0; i < SPELLS; i++) {
        double ghz = clock_ghz();
        if (ghz > best) best = ghz;
    }
    printf("{\"clock_ghz\": %.3f, \"threads\": %d", best, threads);
    report(&f32, threads);
    report(&bf16, threads);
    report(&int8, threads);
    printf("}\n");
    return 0;
}
