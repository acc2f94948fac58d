// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * For linux.uml (6.1) on CPUs whose extended state is larger than the 2,696 bytes it has room for,
 * such as those with AMX: the kernel refuses to set a part (EFAULT), and no guest comes up. Here a
 * part is completed with what the process has, of which the guest uses nothing. On other CPUs every
 * call goes through as it is. Preloaded; no header, so that a compiler alone builds it.
 * Sources: ptrace(2), arch/x86/kernel/fpu/regset.c, arch/x86/um/os-Linux/registers.c.
 */

enum { SYS_PTRACE = 101, PEEKTEXT = 1, PEEKUSER = 3, GETREGSET = 0x4204, SETREGSET = 0x4205 };
enum { NT_X86_XSTATE = 0x202, ROOM = 65536 };

struct part {
	void *base;
	unsigned long length;
};

long syscall(long number, ...);
void *memcpy(void *to, const void *from, unsigned long length);

static char whole[ROOM];

static long xstate(long request, long pid, struct part *part)
{
	struct part all = { whole, ROOM };
	long failed = syscall(SYS_PTRACE, (long)GETREGSET, pid, (long)NT_X86_XSTATE, &all);

	if (failed || all.length <= part->length)
		return syscall(SYS_PTRACE, request, pid, (long)NT_X86_XSTATE, part);
	if (request == GETREGSET) {
		memcpy(part->base, whole, part->length);
		return 0;
	}
	memcpy(whole, part->base, part->length);
	return syscall(SYS_PTRACE, request, pid, (long)NT_X86_XSTATE, &all);
}

long ptrace(long request, int pid, long address, void *data)
{
	long word, failed;

	if ((request == GETREGSET || request == SETREGSET) && address == NT_X86_XSTATE)
		return xstate(request, pid, data);
	if (request < PEEKTEXT || request > PEEKUSER)
		return syscall(SYS_PTRACE, request, (long)pid, address, data);
	failed = syscall(SYS_PTRACE, request, (long)pid, address, &word);
	return failed ? failed : word;
}
