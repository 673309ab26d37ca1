/* What C# can't say: ports, tables, interrupts. System V calling convention. */

    .macro function name
    .global \name
    .type \name, @function
\name:
    .endm

    .text

/* ---- ports: (port, value) ---- */
function cpu_in8
    mov %edi, %edx
    xor %eax, %eax
    in %dx, %al
    ret
function cpu_in16
    mov %edi, %edx
    xor %eax, %eax
    in %dx, %ax
    ret
function cpu_in32
    mov %edi, %edx
    in %dx, %eax
    ret
function cpu_out8
    mov %edi, %edx
    mov %esi, %eax
    out %al, %dx
    ret
function cpu_out16
    mov %edi, %edx
    mov %esi, %eax
    out %ax, %dx
    ret
function cpu_out32
    mov %edi, %edx
    mov %esi, %eax
    out %eax, %dx
    ret

/* ---- registers and tables ---- */
function cpu_rdtsc
    rdtsc
    shl $32, %rdx
    or %rdx, %rax
    ret
function cpu_rdmsr
    mov %edi, %ecx
    rdmsr
    shl $32, %rdx
    or %rdx, %rax
    ret
function cpu_cpuid                          /* (leaf, uint* eax_ebx_ecx_edx) */
    push %rbx
    mov %edi, %eax
    xor %ecx, %ecx
    cpuid
    mov %eax, (%rsi)
    mov %ebx, 4(%rsi)
    mov %ecx, 8(%rsi)
    mov %edx, 12(%rsi)
    pop %rbx
    ret
function cpu_rdrand                         /* (ulong* value): 1, or 0 when there is none */
    xor %eax, %eax
    rdrand %rdx
    setc %al
    mov %rdx, (%rdi)
    ret
function cpu_rdseed                         /* the same */
    xor %eax, %eax
    rdseed %rdx
    setc %al
    mov %rdx, (%rdi)
    ret
function cpu_read_cr2
    mov %cr2, %rax
    ret
function cpu_read_cr3
    mov %cr3, %rax
    ret
function cpu_write_cr3
    mov %rdi, %cr3
    ret
function cpu_load_idt                       /* (table, limit) */
    sub $16, %rsp
    mov %si, 6(%rsp)
    mov %rdi, 8(%rsp)
    lidt 6(%rsp)
    add $16, %rsp
    ret
function cpu_pause
    pause
    ret
/* Nothing but places: what counts instructions from outside counts from one to the other (tools/bench). */
function cpu_mark_begin
    ret
function cpu_mark_end
    ret
function cpu_enable_interrupts
    sti
    ret
function cpu_disable_interrupts
    cli
    ret
function cpu_stop
    cli
    hlt
    jmp cpu_stop
function cpu_frame_pointer
    mov %rbp, %rax
    ret
function cpu_breakpoint
    int3
    ret

/* Sleeps until an interrupt, unless one is noted already: `sti` takes effect after `hlt` has begun, so none is slept over. */
function cpu_wait_for_interrupt
    cli
    mov interrupts_noted(%rip), %rax
    or interrupts_deferred(%rip), %rax
    jnz 1f
    sti
    hlt
    ret
1:  sti
    ret

/* Looks for an interrupt until one is noted or some ticks of the time stamp counter (ticks) have passed. */
function cpu_spin_for_interrupt
    rdtsc
    shl $32, %rdx
    or %rdx, %rax
    lea (%rax, %rdi), %rsi
1:  mov interrupts_noted(%rip), %rax
    or interrupts_deferred(%rip), %rax
    jnz 2f
    rdtsc
    shl $32, %rdx
    or %rdx, %rax
    cmp %rsi, %rax
    jb 1b
2:  ret

/* Takes the interrupts noted so far and leaves none: answers the edges, and stores the levels (address). */
function cpu_take_interrupts
    xor %eax, %eax
    xchg interrupts_deferred(%rip), %rax
    mov %rax, (%rdi)
    xor %eax, %eax
    xchg interrupts_noted(%rip), %rax
    ret

/* Fills (destination, length) with zeros; length is a multiple of 8. */
function cpu_clear
    mov %rsi, %rcx
    shr $3, %rcx
    xor %eax, %eax
    rep stosq
    ret

/* Vectors 0x40 to 0x7F, edges: note the bit, tell the local APIC, go on. The handler runs outside, in the run loop. */
    .align 16
    .global interrupt_edge_stubs
interrupt_edge_stubs:
    .set vector, 0
    .rept 64
    .align 16
    push %rax
    mov $vector, %eax
    jmp interrupt_edge
    .set vector, vector + 1
    .endr
interrupt_edge:
    bts %rax, interrupts_noted(%rip)
    mov $0xFEE000B0, %eax                   /* local APIC: end of interrupt */
    movl $0, (%rax)
    pop %rax
    iretq

/* Vectors 0x30 to 0x3F, levels: note the bit; the end of interrupt follows when the handler has quieted the device. */
    .align 16
    .global interrupt_level_stubs
interrupt_level_stubs:
    .set vector, 0
    .rept 16
    .align 16
    push %rax
    mov $vector, %eax
    jmp interrupt_level
    .set vector, vector + 1
    .endr
interrupt_level:
    bts %rax, interrupts_deferred(%rip)
    pop %rax
    iretq

/* Spurious ones. */
    .align 16
    .global interrupt_ignore
interrupt_ignore:
    iretq

/* Vectors 0 to 31, exceptions: all registers to C#, which does not come back. */
    .align 16
    .global exception_stubs
exception_stubs:
    .set vector, 0
    .rept 32
    .align 16
    .if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
    .else
    push $0
    .endif
    push $vector
    jmp exception
    .set vector, vector + 1
    .endr
exception:
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rdi
    cld
    and $-16, %rsp
    call kernel_exception
    jmp cpu_stop

/* Where the parts of the image are: kernel/machine/Image.cs knows the order. */
function image_addresses
    lea image_address_table(%rip), %rax
    ret

/* The runtime's small helpers. */
function RhpAssignRef
    mov %rsi, (%rdi)
    ret
function RhpCheckedAssignRef
    mov %rsi, (%rdi)
    ret
function RhpByRefAssignRef
    mov (%rsi), %rcx
    mov %rcx, (%rdi)
    add $8, %rdi
    add $8, %rsi
    ret

    .section .rodata
    .align 8
image_address_table:
    .quad __text_start, __text_end, __image_end, __modules_start, __modules_end, __symbols_start, __symbols_end
    .quad stack_guard, stack_top, exception_stubs, interrupt_edge_stubs, interrupt_level_stubs, interrupt_ignore, early_heap
    .quad interrupt_table, stack_bottom

    .section .data
    .align 8
    .global __security_cookie
__security_cookie: .quad 0x00A8F3E19D5C4B72
interrupts_noted: .quad 0
interrupts_deferred: .quad 0

    .section .note.GNU-stack, "", @progbits
