"""Skinned bodies and named clips, as the writers of `.glb`, `.usd` and `.fbx` files need them."""
