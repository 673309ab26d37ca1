/* A TCG plugin for QEMU (API 1: QEMU 6.0 to 8.2): what the guest executes between marks, exactly.
 *
 *   -plugin count.so,out=FILE,begin=ADDRESS,end=ADDRESS[,access=on]
 *
 * begin and end are addresses of instructions (cpu_mark_begin and cpu_mark_end of the kernel). Each time end is reached after begin, a line
 *   span N insns=… blocks=… ins=… outs=… halts=… reads=… writes=…
 * goes to FILE: instructions, their basic blocks, port reads and writes, hlt, and reads and writes of device memory (access=on). Below it follow
 *   pc ADDRESS COUNT            how often the instruction there was executed
 *   io r|w REGION ADDRESS COUNT accesses of device memory (access=on)
 *
 * Each translated block has one counter, which the translated code increments itself: no call, no lock; one vCPU only.
 * Debian ships no qemu-plugin.h: what is used of it is declared here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
typedef uint32_t memory_info;
enum { NO_REGISTERS = 0, INLINE_ADD_U64 = 0, READ_AND_WRITE = 3 };
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*called)(plugin_id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int operation, void *counter, uint64_t value);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*called)(unsigned, void *), int flags, void *data);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, void (*called)(unsigned, memory_info, uint64_t, void *), int flags,
                                             int which, void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
extern bool qemu_plugin_mem_is_store(memory_info info);
extern struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(memory_info info, uint64_t address);
extern bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *address);
extern uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *address);
extern const char *qemu_plugin_hwaddr_device_name(const struct qemu_plugin_hwaddr *address);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* A translated block: how often it began, and what is in it. */
struct block {
    struct block *next;
    uint64_t count, before;
    size_t insns, ins, outs, halts;
    uint64_t address[];
};

/* Accesses of one address of one device, hashed. */
struct access {
    const char *region;
    uint64_t address, reads, writes;
};
enum { ACCESSES = 4096 };

static struct block *blocks;
static struct access accesses[ACCESSES];
static uint64_t begin_at, end_at, reads, writes;
static bool begun, count_accesses;
static unsigned spans;
static FILE *out;

static void on_begin(unsigned cpu, void *data)
{
    for (struct block *b = blocks; b; b = b->next)
        b->before = b->count;
    memset(accesses, 0, sizeof accesses);
    reads = writes = 0;
    begun = true;
}

static void on_end(unsigned cpu, void *data)
{
    uint64_t insns = 0, runs = 0, ins = 0, outs = 0, halts = 0;
    if (!begun)
        return;
    begun = false;
    for (struct block *b = blocks; b; b = b->next) {
        uint64_t n = b->count - b->before;
        runs += n;
        insns += n * b->insns;
        ins += n * b->ins;
        outs += n * b->outs;
        halts += n * b->halts;
    }
    fprintf(out, "span %u insns=%llu blocks=%llu ins=%llu outs=%llu halts=%llu reads=%llu writes=%llu\n", spans++, (unsigned long long)insns,
            (unsigned long long)runs, (unsigned long long)ins, (unsigned long long)outs, (unsigned long long)halts, (unsigned long long)reads,
            (unsigned long long)writes);
    for (struct block *b = blocks; b; b = b->next)
        for (size_t i = 0; b->count != b->before && i < b->insns; i++)
            fprintf(out, "pc %llx %llu\n", (unsigned long long)b->address[i], (unsigned long long)(b->count - b->before));
    for (struct access *a = accesses; a < accesses + ACCESSES; a++) {
        if (a->reads)
            fprintf(out, "io r %s %llx %llu\n", a->region, (unsigned long long)a->address, (unsigned long long)a->reads);
        if (a->writes)
            fprintf(out, "io w %s %llx %llu\n", a->region, (unsigned long long)a->address, (unsigned long long)a->writes);
    }
    fflush(out);
}

static void on_access(unsigned cpu, memory_info info, uint64_t address, void *data)
{
    struct qemu_plugin_hwaddr *where = begun ? qemu_plugin_get_hwaddr(info, address) : NULL;
    if (!where || !qemu_plugin_hwaddr_is_io(where))
        return;
    uint64_t physical = qemu_plugin_hwaddr_phys_addr(where);
    bool store = qemu_plugin_mem_is_store(info);
    *(store ? &writes : &reads) += 1;
    struct access *a = accesses + (physical * 0x9E3779B97F4A7C15u >> 52);
    for (int i = 0; i < ACCESSES && a->region && a->address != physical; i++)
        a = a + 1 == accesses + ACCESSES ? accesses : a + 1;
    if (a->region && a->address != physical)
        return; /* the table is full; the sums are right */
    a->region = qemu_plugin_hwaddr_device_name(where);
    a->address = physical;
    *(store ? &a->writes : &a->reads) += 1;
}

static void on_translated(plugin_id id, struct qemu_plugin_tb *tb)
{
    size_t n = qemu_plugin_tb_n_insns(tb);
    struct block *b = calloc(1, sizeof *b + n * sizeof b->address[0]);
    if (!b)
        abort();
    b->next = blocks;
    blocks = b;
    b->insns = n;
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        const uint8_t *bytes = qemu_plugin_insn_data(insn);
        uint8_t op = bytes[bytes[0] == 0x66 && qemu_plugin_insn_size(insn) > 1];
        b->address[i] = qemu_plugin_insn_vaddr(insn);
        b->ins += op == 0xE4 || op == 0xE5 || op == 0xEC || op == 0xED;
        b->outs += op == 0xE6 || op == 0xE7 || op == 0xEE || op == 0xEF;
        b->halts += op == 0xF4;
        if (b->address[i] == begin_at)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_begin, NO_REGISTERS, NULL);
        if (b->address[i] == end_at)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_end, NO_REGISTERS, NULL);
        if (count_accesses)
            qemu_plugin_register_vcpu_mem_cb(insn, on_access, NO_REGISTERS, READ_AND_WRITE, NULL);
    }
    qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &b->count, 1);
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "out=", 4))
            out = fopen(argv[i] + 4, "w");
        else if (!strncmp(argv[i], "begin=", 6))
            begin_at = strtoull(argv[i] + 6, NULL, 16);
        else if (!strncmp(argv[i], "end=", 4))
            end_at = strtoull(argv[i] + 4, NULL, 16);
        else if (!strcmp(argv[i], "access=on"))
            count_accesses = true;
        else {
            fprintf(stderr, "count: unknown option %s\n", argv[i]);
            return 1;
        }
    }
    if (!out || !begin_at || !end_at) {
        fprintf(stderr, "count: out=FILE,begin=ADDRESS,end=ADDRESS\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    return 0;
}
