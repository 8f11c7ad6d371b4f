// SPDX-License-Identifier: GPL-2.0
/*
 * ksnap: writes down the page allocator's lists with all CPUs stopped, as the
 * ksnap text that kernsim replays. For Linux 6.1 to 6.17.
 *
 *   echo 1 > /sys/kernel/debug/ksnap/take     before the workload
 *   echo 2 > /sys/kernel/debug/ksnap/take     after it
 *   cat /sys/kernel/debug/ksnap/1             the texts
 *   cat /sys/kernel/debug/ksnap/2
 *
 * A kprobe on ksnap_mark shows the moments in a trace: once when a snapshot
 * begins, and with bit 31 of seq when it ends, both with all CPUs stopped.
 * Nothing is allocated between loading and unloading.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/module.h>
#include <linux/pageblock-flags.h>
#include <linux/stop_machine.h>
#include <linux/uaccess.h>
#include <linux/utsname.h>
#include <linux/version.h>
#include <linux/vmalloc.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0) || LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
#error "ksnap knows the page allocator of Linux 6.1 to 6.17"
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define NR_ORDERS NR_PAGE_ORDERS
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define NR_ORDERS (MAX_ORDER + 1)
#else
#define NR_ORDERS MAX_ORDER
#endif

#define SNAPSHOTS 2

static unsigned int bufmb = 16;
module_param(bufmb, uint, 0444);
MODULE_PARM_DESC(bufmb, "MiB for the text of each of the two snapshots");

struct snapshot {
	char *text;
	size_t size, len;
	bool full;
	unsigned int seq;
};

static struct snapshot snapshots[SNAPSHOTS];
static struct dentry *dir;

noinline void ksnap_mark(unsigned int seq);
noinline void ksnap_mark(unsigned int seq)
{
	barrier_data(&seq);
}

static __printf(2, 3) void say(struct snapshot *s, const char *fmt, ...)
{
	size_t room = s->size - s->len;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(s->text + s->len, room, fmt, args);
	va_end(args);
	if (n >= room)
		s->full = true;
	else
		s->len += n;
}

static void say_pages(struct snapshot *s, struct list_head *list, bool pcp)
{
	struct page *page;

	if (pcp)
		list_for_each_entry(page, list, pcp_list)
			say(s, " %lu", page_to_pfn(page));
	else
		list_for_each_entry(page, list, buddy_list)
			say(s, " %lu", page_to_pfn(page));
	say(s, "\n");
}

static int block_type(unsigned long pfn)
{
	unsigned long *map = section_to_usemap(__pfn_to_section(pfn));
	unsigned long bit = ((pfn & (PAGES_PER_SECTION - 1)) >> pageblock_order) * NR_PAGEBLOCK_BITS;

	return (map[bit / BITS_PER_LONG] >> (bit % BITS_PER_LONG)) & MIGRATETYPE_MASK;
}

static void say_blocks(struct snapshot *s, struct zone *zone)
{
	unsigned long pfn = ALIGN_DOWN(zone->zone_start_pfn, pageblock_nr_pages);
	unsigned long first = 0, n = 0;
	int last = -1;

	for (; pfn < zone_end_pfn(zone); pfn += pageblock_nr_pages) {
		unsigned long inside = max(pfn, zone->zone_start_pfn);
		int type = pfn_valid(inside) ? block_type(inside) : -1;

		if (type != last && n) {
			say(s, "pageblocks first_pfn=%lu n=%lu mt=%d\n", first, n, last);
			n = 0;
		}
		if (!n)
			first = pfn;
		last = type;
		n++;
	}
	if (n)
		say(s, "pageblocks first_pfn=%lu n=%lu mt=%d\n", first, n, last);
}

static void say_pcp(struct snapshot *s, struct zone *zone, int cpu)
{
	struct per_cpu_pages *pcp = per_cpu_ptr(zone->per_cpu_pageset, cpu);
	int i;

	say(s, "pcp cpu=%d count=%d high=%d", cpu, pcp->count, pcp->high);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	say(s, " high_min=%d high_max=%d batch=%d flags=%d alloc_factor=%d", pcp->high_min, pcp->high_max, pcp->batch, pcp->flags, pcp->alloc_factor);
#ifdef CONFIG_NUMA
	say(s, " expire=%d", pcp->expire);
#else
	say(s, " expire=0");
#endif
	say(s, " free_count=%d\n", pcp->free_count);
#else
	say(s, " batch=%d free_factor=%d\n", pcp->batch, pcp->free_factor);
#endif
	for (i = 0; i < NR_PCP_LISTS; i++) {
		if (list_empty(&pcp->lists[i]))
			continue;
		say(s, "pcplist cpu=%d pindex=%d:", cpu, i);
		say_pages(s, &pcp->lists[i], true);
	}
}

static void say_zone(struct snapshot *s, struct zone *zone, int nid)
{
	int order, type, cpu, i;

	say(s, "zone node=%d name=%s start_pfn=%lu spanned=%lu present=%lu managed=%lu", nid, zone->name,
	    zone->zone_start_pfn, zone->spanned_pages, zone->present_pages, zone_managed_pages(zone));
	say(s, " min=%lu low=%lu high=%lu promo=%lu boost=%lu lowmem_reserve=", zone->_watermark[WMARK_MIN],
	    zone->_watermark[WMARK_LOW], zone->_watermark[WMARK_HIGH], zone->_watermark[WMARK_PROMO], zone->watermark_boost);
	for (i = 0; i < MAX_NR_ZONES; i++)
		say(s, "%s%ld", i ? "," : "", zone->lowmem_reserve[i]);
	say(s, " highatomic=%lu", zone->nr_reserved_highatomic);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	say(s, " high_min=%d high_max=%d batch=%d nr_free_pages=%lu", zone->pageset_high_min, zone->pageset_high_max, zone->pageset_batch,
	    zone_page_state(zone, NR_FREE_PAGES));
#endif
	say(s, "\n");
	for (order = 0; order < NR_ORDERS; order++) {
		for (type = 0; type < MIGRATE_TYPES; type++) {
			struct list_head *list = &zone->free_area[order].free_list[type];

			if (list_empty(list))
				continue;
			say(s, "free order=%d mt=%d:", order, type);
			say_pages(s, list, false);
		}
	}
	for (order = 0; order < NR_ORDERS; order++)
		say(s, "nr_free order=%d n=%lu\n", order, zone->free_area[order].nr_free);
	for_each_online_cpu(cpu)
		say_pcp(s, zone, cpu);
	say_blocks(s, zone);
}

static int take(void *data)
{
	struct snapshot *s = data;
	int nid, i;

	ksnap_mark(s->seq);
	s->len = 0;
	s->full = false;
	say(s, "ksnap 1 seq=%u kernel=%s page_shift=%d pageblock_order=%d max_order=%d nr_pcp_lists=%d page_offset=%lx\n", s->seq,
	    init_utsname()->release, PAGE_SHIFT, (int)pageblock_order, NR_ORDERS, NR_PCP_LISTS, (unsigned long)PAGE_OFFSET);
	for_each_online_node(nid)
		for (i = 0; i < MAX_NR_ZONES; i++)
			if (populated_zone(&NODE_DATA(nid)->node_zones[i]))
				say_zone(s, &NODE_DATA(nid)->node_zones[i], nid);
	say(s, "end seq=%u\n", s->seq);
	ksnap_mark(s->seq | 1u << 31);
	return 0;
}

static ssize_t take_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	unsigned int seq;
	int err = kstrtouint_from_user(buf, count, 0, &seq);

	if (err)
		return err;
	if (seq < 1 || seq > SNAPSHOTS)
		return -EINVAL;
	snapshots[seq - 1].seq = seq;
	err = stop_machine(take, &snapshots[seq - 1], NULL);
	if (!err && snapshots[seq - 1].full)
		err = -ENOSPC; /* load the module with a larger bufmb */
	return err ? err : count;
}

static ssize_t text_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct snapshot *s = file->private_data;

	return simple_read_from_buffer(buf, count, pos, s->text, s->len);
}

static const struct file_operations take_fops = { .owner = THIS_MODULE, .write = take_write };
static const struct file_operations text_fops = { .owner = THIS_MODULE, .open = simple_open, .read = text_read };

static int __init ksnap_init(void)
{
	static const char *const names[SNAPSHOTS] = { "1", "2" };
	int i;

	for (i = 0; i < SNAPSHOTS; i++) {
		snapshots[i].size = (size_t)bufmb << 20;
		snapshots[i].text = vzalloc(snapshots[i].size);
		if (!snapshots[i].text) {
			vfree(snapshots[0].text);
			return -ENOMEM;
		}
	}
	dir = debugfs_create_dir("ksnap", NULL);
	debugfs_create_file("take", 0200, dir, NULL, &take_fops);
	for (i = 0; i < SNAPSHOTS; i++)
		debugfs_create_file(names[i], 0400, dir, &snapshots[i], &text_fops);
	return 0;
}

static void __exit ksnap_exit(void)
{
	int i;

	debugfs_remove_recursive(dir);
	for (i = 0; i < SNAPSHOTS; i++)
		vfree(snapshots[i].text);
}

module_init(ksnap_init);
module_exit(ksnap_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Snapshots of the page allocator's lists for kernsim");
