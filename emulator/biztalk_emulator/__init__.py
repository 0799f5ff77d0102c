"""An emulator of the management API of Windows Azure BizTalk Services."""
