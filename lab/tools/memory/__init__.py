"""Makes the shipped memory image: a small guest under QEMU plays the second half of the intrusion."""
