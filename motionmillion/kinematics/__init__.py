"""Joints and inverse kinematics, joining, retargeting, joint names."""
