"""What stops plugins of the pinned Volatility 3 (2.28): changes of newer kernels, and memory that changed while it was read.

Each is a change of Linux's own sources: ``taint_flag.module`` was taken out (kernel/panic.c: every flag counts for modules), and the core
timekeeper became the first of an array (kernel/time/timekeeping.c: ``timekeeper_data``, of which ``tk_core`` is a macro). A module's
folder in sysfs is held by fewer references than before (kernel/module/sysfs.c), so that those of loaded modules are told by their module.
Seen with Debian's 7.3 (docs/kernels.md). A kernel that has the old form is read as before.
"""

from __future__ import annotations

import importlib
from typing import Any

# Where the old form is not: the members that a flag still has.
_EVERY_FLAG = True


def apply() -> None:
    """Apply all of them. To be called once, before anything is read."""
    flags_without_module()
    timekeepers()
    modules_in_sysfs()
    areas_without_inode()


def flags_without_module() -> None:
    """A taint flag that does not say whether it is shown for modules is shown for them."""
    tainting: Any = importlib.import_module("volatility3.framework.symbols.linux.utilities.tainting").Tainting
    asked = tainting._get_kernel_taint_flags_list.__wrapped__

    def listed(cls: Any, context: Any, kernel_module_name: str) -> Any:
        flags = asked(cls, context, kernel_module_name)
        if not flags or flags[0].has_member("module"):
            return flags
        return [_Flag(flag.c_true, flag.c_false) for flag in flags]

    # asked for every module: kept as Volatility keeps it
    kept: dict[tuple[int, str], Any] = {}

    def once(cls: Any, context: Any, kernel_module_name: str) -> Any:
        key = (id(context), kernel_module_name)
        if key not in kept:
            kept[key] = listed(cls, context, kernel_module_name)
        return kept[key]

    tainting._get_kernel_taint_flags_list = classmethod(once)


class _Flag:
    """A flag of a kernel without ``taint_flag.module``."""

    module = _EVERY_FLAG

    def __init__(self, shown: int, otherwise: int) -> None:
        self.c_true, self.c_false = shown, otherwise


def timekeepers() -> None:
    """The boot time out of the first timekeeper of ``timekeeper_data``, where there is no ``tk_core``."""
    extensions: Any = importlib.import_module("volatility3.framework.symbols.linux.extensions")
    linux: Any = importlib.import_module("volatility3.framework.symbols.linux")
    task = extensions.task_struct
    asked = task._get_boottime_raw

    def boottime(self: Any) -> Any:
        kernel = linux.LinuxUtilities.get_module_from_volobj_type(self._context, self)
        if kernel.has_symbol("tk_core") or not kernel.has_symbol("timekeeper_data"):
            return asked(self)
        data: Any = kernel.get_symbol("timekeeper_data")
        # the core's is the first; an array's elements begin where it does
        core = kernel.object("tk_data", offset=data.address).timekeeper
        return extensions.Timespec64Concrete.new_from_nsec(core.offs_real - core.offs_boot)

    task._get_boottime_raw = boottime


def modules_in_sysfs() -> None:
    """Every entry of ``module_kset`` with a module behind it, whatever its references; what is built in has none."""
    utilities: Any = importlib.import_module("volatility3.framework.symbols.linux.utilities.modules")
    objects: Any = importlib.import_module("volatility3.framework.objects.utility")
    errors: Any = importlib.import_module("volatility3.framework.exceptions")
    asked = utilities.Modules.get_kset_modules.__func__

    def loaded(cls: Any, context: Any, vmlinux_name: str) -> dict[str, Any]:
        found: dict[str, Any] = asked(cls, context, vmlinux_name)
        kernel = context.modules[vmlinux_name]
        place = kernel.get_type("module_kobject").relative_child_offset("kobj")
        entries = kernel.object_from_symbol("module_kset").list
        for entry in entries.to_list(f"{kernel.symbol_table_name}!kobject", "entry"):
            try:
                module = kernel.object("module_kobject", offset=entry.vol.offset - place, absolute=True).mod
                if module and module.is_readable():
                    found.setdefault(objects.pointer_to_string(entry.name, 32), module)
            except errors.InvalidAddressException:
                continue  # memory changed while it was read
        return found

    utilities.Modules.get_kset_modules = classmethod(loaded)


def areas_without_inode() -> None:
    """A mapping whose file leads to no inode (memory changed while it was read) is no valid one; it does not end the plugin."""
    extensions: Any = importlib.import_module("volatility3.framework.symbols.linux.extensions")
    area = extensions.vm_area_struct
    asked = area.is_valid

    def valid(self: Any) -> bool:
        try:
            return bool(asked(self))
        except AttributeError:
            if self.vm_file != 0 and self.vm_file.get_inode() is None:
                return False
            raise

    area.is_valid = valid
