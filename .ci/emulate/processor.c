/* Loaded before the extension module of bochscpu-python.
 *
 * The module's processor is fixed to a Core i3-8121U, which has neither AVX-512 VNNI nor AVX-512 BF16. Bochs makes the
 * processor's description through this function, called across the dynamic linker, so that another one can be put in
 * its place: a Xeon of the generation Sapphire Rapids, which has both, or the one that EMULATED_PROCESSOR names
 * (corei7_skylake_x has neither, corei7_icelake_u has VNNI, corei7_haswell_4770 only AVX2).
 *
 * The wheel was linked against glibc 2.38; where glibc is older, the last two functions stand in for its names.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void *_Z23create_corei3_cnl_cpuidP8BX_CPU_C(void *processor) {
    const char *model = getenv("EMULATED_PROCESSOR");
    if (!model) model = "sapphire_rapids";
    char function[64], name[96];
    int length = snprintf(function, sizeof function, "create_%s_cpuid", model);
    snprintf(name, sizeof name, "_Z%d%sP8BX_CPU_C", length, function);
    void *(*create)(void *) = dlsym(RTLD_DEFAULT, name);
    if (!create) {
        fprintf(stderr, "bochscpu has no processor called %s: %s\n", model, dlerror());
        exit(125);
    }
    return create(processor);
}

/* What the module's own would tell Python at every instruction and access, which is half of its time. */
void bx_instr_before_execution(void) {}
void bx_instr_after_execution(void) {}
void bx_instr_lin_access(void) {}
void bx_instr_opcode(void) {}
void bx_instr_cnear_branch_taken(void) {}
void bx_instr_cnear_branch_not_taken(void) {}
void bx_instr_ucnear_branch(void) {}

unsigned long long __isoc23_strtoull(const char *text, char **end, int base) { return strtoull(text, end, base); }

int __isoc23_sscanf(const char *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int read = vsscanf(text, format, arguments);
    va_end(arguments);
    return read;
}
