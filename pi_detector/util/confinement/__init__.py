"""What a process gives up before it touches data of strangers."""
