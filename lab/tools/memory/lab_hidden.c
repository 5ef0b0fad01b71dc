// SPDX-License-Identifier: GPL-2.0
/* Inert lab module: it only takes itself off the module list, so that a detector has something to find. */
#include <linux/list.h>
#include <linux/module.h>

static int __init lab_hidden_init(void)
{
	list_del_init(&THIS_MODULE->list);
	return 0;
}

module_init(lab_hidden_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("forensic lab: inert module that unlinks itself");
