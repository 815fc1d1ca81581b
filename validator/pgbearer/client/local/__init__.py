"""What people start around a proxy: its folder and its status, programs that connect through it, psql's arguments."""
