"""BizTalk Services: everything that this project knows of them."""
