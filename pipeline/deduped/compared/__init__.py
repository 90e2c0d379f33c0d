"""What is compared with what, and how similar it is: measured documents → candidate pairs → verified edges."""
