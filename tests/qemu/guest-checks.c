/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * checks plain|vfio|doorbell|gpio|msi PCI-ADDRESS: what the QEMU guest does with the
 * example devices counter, gpio and edu, and with the bench device. One line a check;
 * ends with status 1 at the first that fails.
 *
 * "doorbell" reads right behind writes that are answered late. "plain" uses the registers through
 * sysfs and, as the kernel has the device's IOMMU domain be the identity, physical addresses. "vfio"
 * has the IOMMU map a single page, and gets interrupts. "gpio" uses the kernel's own driver. "msi"
 * has edu interrupt by a message; nobody listens to its line then.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/gpio.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Counter's registers, in BAR 0. */
enum { TICKS = 0x00, KICK = 0x04, DONE = 0x08, SUM = 0x0c, TOTAL = 0x10 };

/* Edu's, in BAR 0. */
enum { EDU_STATUS = 0x24, EDU_RAISE = 0x60, EDU_ACKNOWLEDGE = 0x64 };

/* The bench device's, in BAR 1. START_WRITE: by messages, if it has not mapped the memory. */
enum {
	BENCH_ADDRESS = 0x00,
	BENCH_LENGTH = 0x08,
	BENCH_REPEAT = 0x10,
	BENCH_START = 0x18,
	BENCH_DONE = 0x20,
};
/* So many transfers that the first read comes before the last of them. */
enum { START_WRITE = 2, DOORBELLS = 20, TRANSFERS = 64 };

enum { PAGE = 4096, BAR_SIZE = 4096, VECTORS = 4, PATIENCE_MS = 10000 };

/* No access may take longer, whatever the device does meanwhile. */
#define LONGEST_NS 1000000000ull

static volatile uint8_t *bar;
static uint8_t *page;     /* memory for DMA, */
static uint32_t page_bus; /* and where the device sees it */
static uint64_t longest_ns;
static const char *check; /* name of the running check */

static void end_line(const char *verdict, const char *fmt, va_list ap)
{
	printf("%s %s: ", verdict, check);
	vprintf(fmt, ap);
	putchar('\n');
	fflush(stdout);
}

static void ok(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	end_line("ok", fmt, ap);
	va_end(ap);
}

static void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	end_line("FAIL", fmt, ap);
	va_end(ap);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- registers ------------------------------------------------------------ */

static uint32_t get(unsigned int off, unsigned int width)
{
	uint64_t start = now_ns(), took;
	uint32_t v;

	if (width == 1)
		v = bar[off];
	else if (width == 2)
		v = *(volatile uint16_t *)(bar + off);
	else
		v = *(volatile uint32_t *)(bar + off);
	took = now_ns() - start;
	if (took > longest_ns)
		longest_ns = took;
	return v;
}

static void put(unsigned int off, unsigned int width, uint32_t v)
{
	if (width == 1)
		bar[off] = (uint8_t)v;
	else if (width == 2)
		*(volatile uint16_t *)(bar + off) = (uint16_t)v;
	else
		*(volatile uint32_t *)(bar + off) = v;
}

static void expect(unsigned int off, unsigned int width, uint32_t want)
{
	uint32_t v = get(off, width);

	if (v != want)
		fail("%u bytes at 0x%02x are 0x%x, should be 0x%x", width, off, v, want);
}

/* Reads as fast as it can, on purpose: DMA has to get on all the same. */
static unsigned long poll_reg(unsigned int off, uint32_t want)
{
	uint64_t end = now_ns() + PATIENCE_MS * 1000000ull;
	unsigned long reads = 1;

	longest_ns = 0;
	for (; get(off, 4) != want; reads++)
		if (now_ns() > end)
			fail("register 0x%02x is 0x%x and never became 0x%x", off, get(off, 4),
			     want);
	if (longest_ns > LONGEST_NS)
		fail("one read took %llu ms", (unsigned long long)longest_ns / 1000000);
	return reads;
}

static void check_registers(void)
{
	check = "ticks, 1, 2 and 4 bytes wide";
	put(TICKS, 4, 0x11223344);
	expect(TICKS, 4, 0x11223344);
	expect(TICKS, 2, 0x3344);
	expect(TICKS + 2, 2, 0x1122);
	expect(TICKS + 1, 1, 0x33);
	expect(TICKS + 3, 1, 0x11);
	put(TICKS + 3, 1, 0xaa);
	expect(TICKS, 4, 0xaa223344);
	put(TICKS, 2, 0xbeef);
	expect(TICKS, 4, 0xaa22beef);
	ok("0x%x", get(TICKS, 4));
}

/* ---- DMA ------------------------------------------------------------------ */

static void expect_hello(void)
{
	if (memcmp(page, "hello", 6))
		fail("memory holds %02x %02x %02x %02x %02x %02x, not \"hello\" and 0", page[0],
		     page[1], page[2], page[3], page[4], page[5]);
}

/* Sets the 64 bytes to add up to something else than the last time, and returns what. */
static uint32_t fill(void)
{
	static uint8_t seed;
	uint32_t total, old = get(TOTAL, 4);

	do {
		total = 0;
		seed++;
		for (unsigned int i = 0; i < 64; i++) {
			page[i] = (uint8_t)(seed + i * 7);
			total += page[i];
		}
	} while (total == old);
	page[64] = 0xff; /* not to be counted */
	return total;
}

static void check_polled_dma(void)
{
	unsigned long reads;
	uint32_t want;

	check = "DMA write, polled";
	memset(page, 0, PAGE);
	want = get(DONE, 4) + 1;
	put(KICK, 4, page_bus);
	reads = poll_reg(DONE, want);
	expect_hello();
	ok("hello after %lu reads, the longest of %llu us", reads,
	   (unsigned long long)longest_ns / 1000);

	check = "DMA read, polled";
	want = fill();
	put(SUM, 4, page_bus);
	reads = poll_reg(TOTAL, want);
	ok("%u after %lu reads, the longest of %llu us", want, reads,
	   (unsigned long long)longest_ns / 1000);
}

static uint8_t *alloc_page(void)
{
	uint8_t *va = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (va == MAP_FAILED || mlock(va, PAGE))
		fail("no page: %s", strerror(errno));
	return va;
}

/* ---- plain: sysfs and physical addresses ---------------------------------- */

static int open_in_sysfs(const char *dev, const char *leaf)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", dev, leaf);
	fd = open(path, O_RDWR);
	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	return fd;
}

static void set_command(int config, off_t at)
{
	uint16_t memory_and_master = 6;

	if (pwrite(config, &memory_and_master, 2, at + 4) != 2)
		fail("cannot write the command register: %s", strerror(errno));
}

static uint32_t physical(const uint8_t *va)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (fd < 0 || pread(fd, &entry, 8, (off_t)((uintptr_t)va / PAGE * 8)) != 8 ||
	    !(entry >> 63))
		fail("pagemap does not say where the page is");
	close(fd);
	return (uint32_t)(entry * PAGE);
}

/* Memory and bus mastering on, the BAR mapped, a page of memory for DMA. */
static void use_plain(const char *dev, const char *resource)
{
	int fd;

	check = "set-up without vfio";
	set_command(open_in_sysfs(dev, "config"), 0);
	fd = open_in_sysfs(dev, resource);
	bar = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bar == MAP_FAILED)
		fail("%s: %s", resource, strerror(errno));
	page = alloc_page();
	page_bus = physical(page);
}

static void checks_plain(const char *dev)
{
	use_plain(dev, "resource0");
	check_registers();
	check_polled_dma();
}

/*
 * QEMU posts the write, then waits for the read's answer, and meanwhile does not serve the DMA that
 * the write waits for (E60): the read must not stand in line behind it.
 */
static void checks_doorbell(const char *dev)
{
	uint64_t slowest_ns = 0;

	use_plain(dev, "resource1");
	check = "reads right behind a doorbell that is answered late";
	put(BENCH_ADDRESS, 4, page_bus);
	put(BENCH_LENGTH, 4, PAGE);
	put(BENCH_REPEAT, 4, TRANSFERS);
	for (unsigned int i = 0; i < DOORBELLS; i++) {
		uint32_t want = get(BENCH_DONE, 4) + TRANSFERS;

		memset(page, 0xff, PAGE);
		put(BENCH_START, 4, START_WRITE);
		poll_reg(BENCH_DONE, want);
		if (page[0] || page[PAGE - 1])
			fail("doorbell %u: done, and the data is not there", i);
		if (longest_ns > slowest_ns)
			slowest_ns = longest_ns;
	}
	ok("%d times, the longest read of %llu us", DOORBELLS,
	   (unsigned long long)slowest_ns / 1000);
}

/* ---- vfio: through the IOMMU, with interrupts ----------------------------- */

static int container, device;
static int vectors[VECTORS];

static void vfio_open(const char *dev)
{
	char link[128], target[128], group_path[160];
	ssize_t n;
	int group;

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group", dev);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		fail("%s: %s", link, strerror(errno));
	target[n] = 0;
	snprintf(group_path, sizeof(group_path), "/dev/vfio/%s", strrchr(target, '/') + 1);
	container = open("/dev/vfio/vfio", O_RDWR);
	group = open(group_path, O_RDWR);
	if (container < 0 || group < 0)
		fail("%s: %s", group_path, strerror(errno));
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		fail("container: %s", strerror(errno));
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, dev);
	if (device < 0)
		fail("device: %s", strerror(errno));
}

static off_t vfio_region(uint32_t index)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = index};

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info))
		fail("region %u: %s", index, strerror(errno));
	return (off_t)info.offset;
}

static void vfio_map_page(uint32_t bus)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = bus,
		.size = PAGE,
	};

	page = alloc_page();
	page_bus = bus;
	map.vaddr = (uintptr_t)page;
	if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
		fail("VFIO_IOMMU_MAP_DMA: %s", strerror(errno));
}

static void vfio_enable(uint32_t index, uint32_t count)
{
	struct {
		struct vfio_irq_set set;
		int fds[VECTORS];
	} irqs = {
		.set = {.argsz = sizeof(irqs),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = index,
			.count = count},
	};

	for (int i = 0; i < VECTORS; i++)
		vectors[i] = irqs.fds[i] = eventfd(0, 0);
	if (ioctl(device, VFIO_DEVICE_SET_IRQS, &irqs))
		fail("VFIO_DEVICE_SET_IRQS: %s", strerror(errno));
}

static void expect_interrupt(int vector)
{
	struct pollfd p[VECTORS];
	uint64_t count;

	for (int i = 0; i < VECTORS; i++)
		p[i] = (struct pollfd){.fd = vectors[i], .events = POLLIN};
	if (poll(p, VECTORS, PATIENCE_MS) <= 0)
		fail("no interrupt");
	for (int i = 0; i < VECTORS; i++)
		if (!p[i].revents != (i != vector))
			fail("vector %d %s", i, p[i].revents ? "came too" : "did not come");
	if (read(vectors[vector], &count, 8) != 8 || count != 1)
		fail("vector %d came %llu times", vector, (unsigned long long)count);
}

/*
 * The data has to be there when the interrupt is: nothing here waits for it. QEMU keeps the MSI-X
 * table and writes nothing of it to the server, where all vectors still read as masked (E66).
 */
static void check_interrupts(void)
{
	uint32_t want;

	check = "DMA write, then MSI-X vector 0";
	memset(page, 0, PAGE);
	want = get(DONE, 4) + 1;
	put(KICK, 4, page_bus);
	expect_interrupt(0);
	expect_hello();
	expect(DONE, 4, want);
	ok("hello at bus address 0x%x", page_bus);

	check = "DMA read, then MSI-X vector 1";
	want = fill();
	put(SUM, 4, page_bus);
	expect_interrupt(1);
	expect(TOTAL, 4, want);
	ok("%u", want);
}

static void check_reset(void)
{
	check = "reset";
	put(TICKS, 4, 0x55aa55aa);
	expect(TICKS, 4, 0x55aa55aa);
	if (ioctl(device, VFIO_DEVICE_RESET))
		fail("VFIO_DEVICE_RESET: %s", strerror(errno));
	expect(TICKS, 4, 0);
	ok("ticks is 0");
}

static void use_vfio(const char *dev)
{
	check = "set-up with vfio";
	vfio_open(dev);
	bar = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		   vfio_region(VFIO_PCI_BAR0_REGION_INDEX));
	if (bar == MAP_FAILED)
		fail("BAR 0: %s", strerror(errno));
	set_command(device, vfio_region(VFIO_PCI_CONFIG_REGION_INDEX));
}

static void checks_vfio(const char *dev)
{
	use_vfio(dev);
	vfio_map_page(0x10000000);
	vfio_enable(VFIO_PCI_MSIX_IRQ_INDEX, VECTORS);
	check_interrupts();
	check_reset();
}

static void checks_msi(const char *dev)
{
	use_vfio(dev);
	vfio_enable(VFIO_PCI_MSI_IRQ_INDEX, 1);
	check = "edu's interrupts by MSI";
	for (uint32_t why = 1; why <= 3; why++) {
		put(EDU_RAISE, 4, why);
		expect_interrupt(0);
		expect(EDU_STATUS, 4, why);
		put(EDU_ACKNOWLEDGE, 4, why);
	}
	expect(EDU_STATUS, 4, 0);
	ok("three times");
}

/* ---- gpio: the kernel's driver -------------------------------------------- */

/* Lines 0 to 15 of the card are its outputs, 16 to 31 its inputs. This pair is used. */
enum { INPUTS = 16, LINE = 3 };

static int gpio_lines(int chip, uint32_t first, uint32_t count, uint64_t flags)
{
	struct gpio_v2_line_request req = {
		.num_lines = count, .consumer = "checks", .config.flags = flags};

	for (uint32_t i = 0; i < count; i++)
		req.offsets[i] = first + i;
	if (ioctl(chip, GPIO_V2_GET_LINE_IOCTL, &req))
		fail("lines from %u: %s", first, strerror(errno));
	return req.fd;
}

static void gpio_drive(int out, unsigned int value)
{
	struct gpio_v2_line_values v = {.bits = value, .mask = 1};

	if (ioctl(out, GPIO_V2_LINE_SET_VALUES_IOCTL, &v))
		fail("set: %s", strerror(errno));
}

static void gpio_expect(int in, unsigned int values)
{
	struct gpio_v2_line_values v = {.mask = 0xffff};

	if (ioctl(in, GPIO_V2_LINE_GET_VALUES_IOCTL, &v))
		fail("get: %s", strerror(errno));
	if (v.bits != values)
		fail("inputs are 0x%04x, should be 0x%04x", (unsigned int)v.bits, values);
}

/*
 * The card has one interrupt for all its inputs, so the driver reports an event of each line that
 * somebody listens to, rising or falling as the line is high or low.
 */
static void gpio_expect_event(int in, uint32_t id)
{
	struct pollfd p = {.fd = in, .events = POLLIN};
	struct gpio_v2_line_event event;

	do {
		if (poll(&p, 1, PATIENCE_MS) != 1)
			fail("no interrupt");
		if (read(in, &event, sizeof(event)) != sizeof(event))
			fail("event: %s", strerror(errno));
	} while (event.offset != INPUTS + LINE || event.id != id);
}

static int gpio_open(const char *dev)
{
	char path[128];
	glob_t found;
	int chip;

	check = "gpio-pci-idio-16 bound"; /* as pci-idio-16, the driver's name in sysfs */
	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/pci-idio-16/%s/gpiochip*", dev);
	if (glob(path, 0, NULL, &found))
		fail("no %s", path);
	snprintf(path, sizeof(path), "/dev/%s", strrchr(found.gl_pathv[0], '/') + 1);
	chip = open(path, O_RDWR);
	if (chip < 0)
		fail("%s: %s", path, strerror(errno));
	ok("%s", path);
	return chip;
}

static void checks_gpio(const char *dev)
{
	int chip = gpio_open(dev), in, out;

	check = "gpio output comes back as input";
	out = gpio_lines(chip, LINE, 1, GPIO_V2_LINE_FLAG_OUTPUT);
	/* All of them: Linux 6.12's driver crashes on an interrupt unless each has a listener. */
	in = gpio_lines(chip, INPUTS, 16,
			GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING |
				GPIO_V2_LINE_FLAG_EDGE_FALLING);
	gpio_expect(in, 0);
	gpio_drive(out, 1);
	gpio_expect(in, 1 << LINE);
	ok("line %d to %d", LINE, INPUTS + LINE);

	check = "gpio INTx";
	gpio_expect_event(in, GPIO_V2_LINE_EVENT_RISING_EDGE);
	gpio_drive(out, 0);
	gpio_expect_event(in, GPIO_V2_LINE_EVENT_FALLING_EDGE);
	gpio_expect(in, 0);
	ok("rising and falling edge");
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "plain"))
		checks_plain(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "vfio"))
		checks_vfio(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "doorbell"))
		checks_doorbell(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "gpio"))
		checks_gpio(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "msi"))
		checks_msi(argv[2]);
	else
		return 2;
	return 0;
}
