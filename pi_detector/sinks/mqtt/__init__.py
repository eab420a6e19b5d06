"""Publishing by MQTT."""
